//! Where calls begin: from a page's wish or a PBX's INVITE to a running call task.
//!
//! Takes what a call needs from the parts that do not know each other (a peer, an RTP port
//! pair, a media worker, a SIP leg) and hands it to the call's task.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts call tasks, draws session ids, reads the clock"
)]

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use super::called;
use super::endpoint::{Endpoint, IncomingLimits};
use super::endpoints::Endpoints;
use super::handle::CallHandle;
use super::ids::{CallId, ResumeToken};
use super::inbox::inbox;
use super::location_service::LocationService;
use super::machine::{Attempt, Call, ClientOffer, Invitation, Local, Rules};
use super::message::{Diverted, TransferTarget};
use super::names;
use super::open_calls::{OpenCall, OpenCalls};
use super::page_headers;
use super::record::CallRecord;
use super::record_writer;
use super::recorded_call::RecordedCall;
use super::refusal::Refusal;
use super::ringing_refusals::RingingRefusals;
use super::routing::{Destination, Rewrite, Routes};
use super::rtp_addresses::{RtpAddress, RtpAddresses};
use super::sip_side::{CallerNames, Placement, SIP_QUEUE, SipSide, refusal};
use super::snapshot::Parties;
use super::task::{CallTask, TransferLegs};
use super::translate;
use super::{EndReason, Error};
use crate::guest::{display_name, is_guest_name};
use crate::media::{self, CallKey, RtpSockets, WorkerHandle};
use crate::peer::{self, Peer, Role};
use crate::supervision::{Supervisor, Task};
use crate::{sdp, sip};

/// Media events that may wait for a call's task.
const MEDIA_QUEUE: usize = 64;

/// Incoming calls that may wait for addresses of names; beyond it the names count as unknown.
const MOST_LOOK_UPS: usize = 256;

/// What calls through one trunk go by.
#[derive(Clone, Debug)]
pub struct TrunkRules {
    /// Codec policy and times.
    pub rules: Rules,
    /// The user part of From; none: the page's user.
    pub from_user: Option<String>,
    /// Rewrites the caller's number; the first that matches.
    pub caller_id: Vec<Rewrite>,
    /// Headers that a page may set, as they are written.
    pub page_headers: Vec<String>,
    /// Whether digits are looked for in the audio of the PBX.
    pub inband_digits: bool,
    /// Whose RTP is taken, and where audio goes.
    pub latching: media::Latching,
}

impl TrunkRules {
    /// The number or user by which the trunk knows a user of ours.
    pub(super) fn caller(&self, user: &str) -> String {
        let from_user = self.from_user.as_deref().unwrap_or(user);
        // A pattern that is meant for users must not give a guest a number.
        if is_guest_name(from_user) {
            return from_user.to_owned();
        }
        let rewritten = self
            .caller_id
            .iter()
            .find_map(|rewrite| rewrite.apply(from_user));
        rewritten.unwrap_or_else(|| from_user.to_owned())
    }
}

/// What the exchange works with; the gateway puts it together.
pub struct Resources {
    /// The SIP user agent.
    pub sip: sip::Handle,
    /// The media workers, each with the peer configuration of its own address.
    pub workers: Vec<(WorkerHandle, Arc<peer::Config>)>,
    /// Addresses and ports of RTP towards PBXs.
    pub rtp: RtpAddresses,
    /// Who is signed in.
    pub location_service: Arc<dyn LocationService>,
    /// Where calls go.
    pub routes: Routes,
    /// By name.
    pub trunks: HashMap<String, TrunkRules>,
    /// Calls at once.
    pub max_calls: usize,
    /// Incoming calls of one connection.
    pub incoming_limits: IncomingLimits,
    /// Counts calls whose task panics.
    pub supervisor: Supervisor,
}

/// Begins calls and knows how many there are.
pub struct Exchange {
    pub(super) resources: Resources,
    open: OpenCalls,
    ringing_refusals: RingingRefusals,
    next: AtomicU64,
    draining: AtomicBool,
    /// Places for calls whose description waits for addresses of names.
    look_ups: Arc<Semaphore>,
    /// Told when the gateway stops: every call task listens.
    stop: tokio::sync::watch::Sender<bool>,
}

/// A page's wish to call.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Who.
    pub user: String,
    /// The name that the called party sees.
    pub name: Option<String>,
    /// The endpoint that calls.
    pub endpoint: Endpoint,
    /// Its address, for the log.
    pub remote: SocketAddr,
    /// The page's name for the call.
    pub call: String,
    /// The dialled string.
    pub to: String,
    /// The JSEP offer.
    pub sdp: String,
    /// The page withholds who calls.
    pub anonymous: bool,
    /// Headers for the trunk.
    pub headers: Vec<(String, String)>,
}

/// What a call is made from.
struct Parts {
    key: CallKey,
    worker: WorkerHandle,
    peer: Peer,
    rtp: RtpSockets,
    local: Local,
}

impl Exchange {
    /// An exchange without calls.
    pub fn new(resources: Resources) -> Self {
        Exchange {
            resources,
            open: OpenCalls::default(),
            ringing_refusals: RingingRefusals::default(),
            next: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            look_ups: Arc::new(Semaphore::new(MOST_LOOK_UPS)),
            stop: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Calls that are open now.
    pub fn open_calls(&self) -> usize {
        self.open.count()
    }

    /// Takes no new calls any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether no new calls are taken.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends all calls.
    pub fn stop(&self) {
        self.drain();
        self.stop.send_replace(true);
    }

    /// Begins a call from a page.
    pub async fn place(&self, placing: Placing) -> Result<CallHandle, Error> {
        let user = placing.user.clone();
        let mut record = CallRecord::outgoing(user, placing.to.clone(), placing.remote);
        let placed = self.begin(placing, &mut record).await;
        if let Err(Error::Ends(reason)) = &placed {
            record.refuse(*reason);
            record_writer::write_refused(&record);
        }
        placed
    }

    async fn begin(&self, placing: Placing, record: &mut CallRecord) -> Result<CallHandle, Error> {
        let destination = self
            .resources
            .routes
            .outbound(&placing.user, &placing.to)
            .map_err(EndReason::from)?;
        let trunk = self.trunk(&destination.trunk)?;
        let headers = page_headers::permitted(&trunk.page_headers, placing.headers.clone())?;
        let open = self.admit()?;
        let mut rtp = self.rtp_towards(&destination.trunk).await?;
        let parts = self.parts(Role::Answerer, rtp)?;
        let mut ahead = VecDeque::from([self.placement(&placing, &destination, trunk, headers)]);
        let mut attempts = Vec::new();
        for name in &destination.fallback {
            let next = self.trunk(name)?;
            // What one trunk may be told by pages is not for all of them.
            let headers = page_headers::listed(&next.page_headers, &placing.headers);
            let asked = Destination {
                trunk: name.clone(),
                ..destination.clone()
            };
            let its_own = self.rtp_towards(name).await?;
            let (sockets, address) = match its_own.is_same(rtp) {
                true => (None, None),
                false => {
                    let (sockets, address) = its_own.reserve()?;
                    (Some(sockets), Some(address))
                }
            };
            rtp = its_own;
            ahead.push_back(Placement {
                rtp: sockets,
                ..self.placement(&placing, &asked, next, headers)
            });
            attempts.push(Attempt {
                rules: next.rules.clone(),
                seed: sdp::KeySeed::new(rand::random()),
                session: sdp::SessionIds::new(rand::random::<u32>().into()),
                rtp: address,
            });
        }
        if let Some(last) = ahead.back_mut() {
            last.outgoing.alternative = false;
        }
        record.from = trunk.caller(&placing.user);
        let offer = ClientOffer {
            endpoint: placing.endpoint.id,
            parties: Parties {
                from: record.from.clone(),
                name: placing.name,
                to: placing.to,
            },
            sdp: &placing.sdp,
        };
        let (rules, local) = (trunk.rules.clone(), parts.local.clone());
        let call = Call::outgoing(rules, local, offer, Instant::now()).with_fallback(attempts);
        let endpoints = Endpoints::outgoing(placing.call, placing.endpoint);
        let side = SipSide::outgoing(self.resources.sip.clone(), ahead);
        self.start(
            parts,
            call,
            endpoints,
            side,
            open,
            record,
            destination.trunk,
        )
        .map_err(Error::Ends)
    }

    /// The RTP address for a call to a trunk: of the family by which the trunk is reached.
    async fn rtp_towards(&self, trunk: &str) -> Result<&RtpAddress, EndReason> {
        let reached = match self.resources.rtp.has_choice(trunk) {
            true => self.resources.sip.address_of_trunk(trunk).await,
            false => None,
        };
        self.resources.rtp.towards(trunk, reached)
    }

    fn trunk(&self, name: &str) -> Result<&TrunkRules, EndReason> {
        self.resources.trunks.get(name).ok_or(EndReason::Internal)
    }

    /// The call that a page wishes as this trunk is asked for it.
    fn placement(
        &self,
        placing: &Placing,
        destination: &Destination,
        trunk: &TrunkRules,
        headers: Vec<(String, String)>,
    ) -> Placement {
        let outgoing = sip::Outgoing {
            trunk: destination.trunk.clone(),
            to_user: destination.number.clone(),
            uri: None,
            from_user: trunk.caller(&placing.user),
            from_name: display_name(&placing.user, placing.name.clone()),
            anonymous: placing.anonymous,
            body: bytes::Bytes::new(),
            headers,
            // Our own, never the page's: a browser that is called back through the PBX must not
            // meet a Call-ID that it knows.
            call_id: Some(format!("{:032x}", rand::random::<u128>())),
            account: Some(placing.user.clone()),
            alternative: true,
        };
        Placement {
            outgoing,
            inband_digits: trunk.inband_digits,
            rtp: None,
            latching: trunk.latching,
        }
    }

    /// Where a page's user gets to by dialling `dialled`, for a transfer.
    pub fn transfer_target(&self, user: &str, dialled: &str) -> Result<TransferTarget, Refusal> {
        let destination = self.resources.routes.outbound(user, dialled)?;
        Ok(TransferTarget::Number {
            trunks: [vec![destination.trunk], destination.fallback].concat(),
            number: destination.number,
        })
    }

    /// Begins a call from a PBX, or refuses it. One whose description has names waits for their
    /// addresses, and no other call waits for it.
    pub async fn receive(self: &Arc<Self>, mut incoming: sip::Incoming) {
        let named = incoming.body.clone().filter(|body| names::has_names(body));
        let (Some(body), Ok(place)) = (named, Arc::clone(&self.look_ups).try_acquire_owned())
        else {
            return self.take(incoming).await;
        };
        let exchange = Arc::clone(self);
        tokio::spawn(async move {
            incoming.body = Some(names::resolved(&exchange.resources.sip, &body).await);
            drop(place);
            exchange.take(incoming).await;
        });
    }

    async fn take(&self, incoming: sip::Incoming) {
        let leg = incoming.leg;
        let mut record = CallRecord::incoming(
            incoming.from_user.clone(),
            incoming.request_user.clone(),
            incoming.source,
            incoming.call_id.clone(),
        );
        if let Err(reason) = self.ring(incoming, &mut record).await {
            record.refuse(reason);
            record_writer::write_refused(&record);
            // Nothing but the bound on calls of a client is busy before it rings.
            let warning = (reason == EndReason::Busy).then(|| sdp::Warning {
                code: 399,
                text: "the called client has as many calls as it may".to_owned(),
            });
            let refusal = refusal(reason, warning);
            if let Err(error) = self.resources.sip.command(leg, refusal).await {
                tracing::debug!(%error, "refusal of an incoming call not sent");
            }
        }
    }

    async fn ring(
        &self,
        incoming: sip::Incoming,
        record: &mut CallRecord,
    ) -> Result<(), EndReason> {
        let numbers: Vec<&str> = [Some(&incoming.request_user), incoming.otherwise.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let name = incoming.trunk.clone().ok_or(EndReason::Forbidden)?;
        let trunk = self
            .resources
            .trunks
            .get(&name)
            .ok_or(EndReason::Internal)?;
        let found = called::find(
            &self.resources.routes,
            &*self.resources.location_service,
            &name,
            incoming.account.as_deref(),
            &numbers,
        )
        .await?;
        let (called, user) = (found.number, found.user);
        // Before anything is made for the call.
        let Some(mut endpoints) =
            Endpoints::incoming(found.endpoints, self.resources.incoming_limits)
        else {
            self.ringing_refusals
                .note(incoming.source, &user, &name, Instant::now());
            return Err(EndReason::Busy);
        };
        let open = self.admit()?;
        let offer = incoming.body.clone().map(translate::text);
        // The end that the offer names decides; a call without one answers in the family of SIP.
        let remote = offer
            .as_deref()
            .and_then(|offer| self.offered_address(&name, trunk, offer))
            .unwrap_or(incoming.source.ip());
        let rtp = self.resources.rtp.towards(&name, Some(remote))?;
        let parts = self.parts(Role::Offerer, rtp)?;
        record.to.clone_from(&called);
        record.names.user = user;
        let invitation = Invitation {
            endpoints: endpoints.ids(),
            from: incoming.from_user.clone(),
            name: incoming.from_name.clone(),
            to: called.clone(),
            diverted: incoming.diverted.map(|diversion| Diverted {
                from: diversion.from,
                reason: diversion.reason,
            }),
            headers: incoming.headers,
            offer,
            reliable: incoming.reliable,
        };
        let call = Call::incoming(
            trunk.rules.clone(),
            parts.local.clone(),
            invitation,
            Instant::now(),
        );
        endpoints.call = format!("in-{}", parts.key.0);
        let (sip_sender, sip_events) = mpsc::channel(SIP_QUEUE);
        let sip = self.resources.sip.clone();
        sip.attach(incoming.leg, sip_sender).await;
        let names = CallerNames {
            user: trunk.from_user.clone().unwrap_or_else(|| called.clone()),
            ..CallerNames::default()
        };
        let mut side = SipSide::incoming(sip, incoming.leg, incoming.call_id, names, sip_events);
        side.peer = Some(incoming.source.ip());
        self.start(parts, call, endpoints, side, open, record, name)
            .map(|_| ())
    }

    /// Where a PBX's offer wants its audio; none where it cannot be used, or does not say.
    fn offered_address(&self, name: &str, trunk: &TrunkRules, offer: &str) -> Option<IpAddr> {
        if !self.resources.rtp.has_choice(name) {
            return None;
        }
        let mut policy = trunk.rules.trunk.clone();
        policy.families = self.resources.rtp.families(name);
        let offer = sdp::Offer::parse(offer).ok()?;
        let read = sdp::offer_answer::read_offer(&offer, &policy).ok()?;
        let ip = read.remote.address.rtp.ip();
        (!ip.is_unspecified()).then_some(ip)
    }

    fn admit(&self) -> Result<OpenCall, EndReason> {
        if self.is_draining() {
            return Err(EndReason::Shutdown);
        }
        self.open
            .admit(self.resources.max_calls)
            .ok_or(EndReason::Overload)
    }

    fn parts(&self, role: Role, rtp: &RtpAddress) -> Result<Parts, EndReason> {
        let (worker, config) = self
            .resources
            .workers
            .iter()
            .min_by_key(|(worker, _)| worker.load())
            .ok_or(EndReason::Internal)?;
        let (rtp, rtp_address) = rtp.reserve()?;
        let peer = Peer::new(config, role, Instant::now()).map_err(|error| {
            tracing::error!(%error, "no peer for a call");
            EndReason::Internal
        })?;
        let local = Local {
            id: CallId::new(rand::random()),
            token: ResumeToken::new(rand::random()),
            rtp: sdp::LocalMedia::new(rtp_address, sdp::KeySeed::new(rand::random())),
            transport: peer.local_description(),
            browser_session: sdp::SessionIds::new(rand::random()),
            pbx_session: sdp::SessionIds::new(rand::random::<u32>().into()),
        };
        let key = CallKey(self.next.fetch_add(1, Ordering::Relaxed));
        Ok(Parts {
            key,
            worker: worker.clone(),
            peer,
            rtp,
            local,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the one place where a call's parts meet"
    )]
    fn start(
        &self,
        parts: Parts,
        call: Call,
        endpoints: Endpoints,
        side: SipSide,
        open: OpenCall,
        record: &mut CallRecord,
        trunk: String,
    ) -> Result<CallHandle, EndReason> {
        let (outlet, commands) = inbox();
        let (media_sender, media_events) = mpsc::channel(MEDIA_QUEUE);
        let handle = CallHandle::new(outlet, parts.local.id, parts.local.token);
        parts
            .worker
            .open(parts.key, parts.peer, media_sender)
            .map_err(|error| {
                tracing::error!(%error, "media worker refused a call");
                EndReason::Overload
            })?;
        let rules = self.resources.trunks.get(&trunk);
        let latching = rules.map_or_else(media::Latching::default, |rules| rules.latching);
        let known = [
            Some(media::Command::ExpectRtp(latching)),
            side.peer.map(media::Command::SetRtpPeer),
        ];
        for command in known.into_iter().flatten() {
            if let Err(error) = parts.worker.command(parts.key, command) {
                tracing::error!(%error, "media worker does not take the addresses of a PBX");
            }
        }
        if rules.is_some_and(|rules| rules.inband_digits)
            && let Err(error) = parts
                .worker
                .command(parts.key, media::Command::DetectDigits)
        {
            tracing::error!(%error, "media worker does not listen for digits");
        }
        let mut record = std::mem::take(record);
        record.names.call = parts.key.0;
        record.names.page_call.clone_from(&endpoints.call);
        record.names.trunk.clone_from(&trunk);
        let user = record.names.user.clone();
        let task = CallTask {
            key: parts.key,
            call: RecordedCall::new(call, record, Instant::now()),
            handle: handle.clone(),
            endpoints,
            side,
            worker: parts.worker,
            commands,
            transfer: TransferLegs::default(),
            looking_up: None,
            location_service: Arc::clone(&self.resources.location_service),
            media_events,
            stop: self.stop.subscribe(),
            _open: open,
            trunk,
            user,
        };
        let supervisor = self.resources.supervisor.clone();
        tokio::spawn(async move { supervisor.attempt(Task::Call, task.run(parts.rtp)).await });
        Ok(handle)
    }

    /// Waits until the last call has ended, or `deadline` has passed.
    pub async fn wait_until_empty(&self, deadline: Duration) -> bool {
        let until = tokio::time::Instant::now() + deadline;
        while self.open_calls() > 0 {
            if tokio::time::Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }
}
