//! The WebRTC side of one call: ICE, DTLS and SRTP joined, without sockets or clocks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rtc_crypto::RTCCryptoProvider;

use super::candidate::{self, CandidateRejection, UnusedCandidates};
use super::demultiplex::{Kind, classify};
use super::dtls::{Association, DtlsEvent};
use super::ice::{AgentEvent, IceCredentials, IceTransport, Settings};
use super::remote_parameters::RemoteParameters;
use super::{
    Config, Drop, Error, Event, Failure, NotReady, Received, Role, Route, SuppressedChecks,
    Transmit, certificate,
};
use crate::sdp::{IceDtlsParameters, Setup};
use crate::srtp::{Packet, Rejected, Session};

/// DTLS datagrams kept while the other end's description is under way.
const MAX_EARLY: usize = 4;

/// How far a peer has come.
enum Stage {
    /// The other end's description is not known; what came of DTLS so far.
    Undescribed { early: VecDeque<Vec<u8>> },
    /// ICE and DTLS are at work.
    Securing { dtls: Association },
    /// Media flows.
    Secured {
        dtls: Association,
        srtp: Box<Session>,
    },
    /// Failed or closed, by either end.
    Over,
}

/// The WebRTC side of one call.
///
/// The driver hands in datagrams and the time, and after every call takes what
/// [`poll_transmit`](Peer::poll_transmit) and [`poll_event`](Peer::poll_event) give until they
/// give nothing; it calls [`handle_timeout`](Peer::handle_timeout) when
/// [`poll_timeout`](Peer::poll_timeout) says so.
pub struct Peer {
    config: Config,
    role: Role,
    provider: Arc<dyn RTCCryptoProvider>,
    ice: IceTransport,
    stage: Stage,
    remote: Option<RemoteParameters>,
    /// When DTLS has to be done, once there is a route.
    dtls_deadline: Option<Instant>,
    /// Where DTLS came from last: the way of answers while there is no route.
    dtls_source: Option<Route>,
    /// Whether [`Event::Connected`] was told.
    announced: bool,
    unused_candidates: UnusedCandidates,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Peer {
    /// A peer with new, unguessable credentials.
    pub fn new(config: &Config, role: Role, now: Instant) -> Result<Self, Error> {
        if config.local_candidates.is_empty() {
            return Err(Error::NoLocalCandidate);
        }
        let provider = certificate::provider()?;
        let settings = Settings {
            credentials: IceCredentials::generate(provider.random())?,
            lite: config.lite,
            controlling: role == Role::Offerer,
            local_candidates: config.local_candidates.clone(),
            disconnect_timeout: config.disconnect_timeout,
            failure_timeout: config.failure_timeout,
            check_rate: Arc::clone(&config.check_rate),
        };
        Ok(Peer {
            config: config.clone(),
            role,
            ice: IceTransport::new(settings, provider.clone(), now)?,
            provider,
            stage: Stage::Undescribed {
                early: VecDeque::new(),
            },
            remote: None,
            dtls_deadline: None,
            dtls_source: None,
            announced: false,
            unused_candidates: UnusedCandidates::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Our ufrags, each the first half of the `USERNAME` of checks for us: one, and a second while
    /// ICE restarts.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> + Clone {
        self.ice.ufrags()
    }

    /// Our transport for an offer or an answer. `setup` is `actpass` until the other end chose,
    /// for an offerer; ever after it is the role in force, which never changes.
    pub fn local_description(&self) -> IceDtlsParameters {
        let setup = match (&self.remote, self.role) {
            (Some(remote), _) => remote.setup,
            (None, Role::Offerer) => Setup::ActPass,
            (None, Role::Answerer) => self.config.answer_setup,
        };
        let candidates = self.config.local_candidates.iter().enumerate();
        let credentials = self.ice.credentials();
        IceDtlsParameters {
            ufrag: credentials.ufrag.clone(),
            pwd: credentials.pwd.reveal().clone(),
            lite: self.config.lite,
            trickle: true,
            fingerprints: vec![self.config.certificate.description()],
            setup,
            candidates: candidates
                .map(|(index, candidate)| candidate::format(index, candidate))
                .collect(),
            end_of_candidates: true,
        }
    }

    /// Restarts ICE (RFC 8445 section 9): our new description, with another ufrag and password, is
    /// what [`local_description`](Peer::local_description) gives from now on, for an offer or, when
    /// the other end's offer asks for it, for the answer to that offer, which
    /// [`set_remote`](Peer::set_remote) takes afterwards.
    ///
    /// Media and checks go on under the old credentials until a pair of the new session works
    /// ([`Event::IceRestarted`]). If none does in time, the call goes on over the old pair as long
    /// as that works. DTLS and the keys of media stay as they are. A restart that is under way gives
    /// way to this one.
    pub fn restart_ice(&mut self, now: Instant) -> Result<IceDtlsParameters, Error> {
        if matches!(self.stage, Stage::Over) {
            return Err(Error::Closed);
        }
        let remote = self.remote.as_mut().ok_or(Error::RestartTooEarly)?;
        let credentials = IceCredentials::generate(self.provider.random())?;
        self.ice.restart(credentials, now)?;
        remote.restart_ice();
        Ok(self.local_description())
    }

    /// Takes the other end's description: the offer or answer at first, later the same again with
    /// perhaps more candidates. Other ICE credentials than before are taken where they answer a
    /// restart of ours ([`restart_ice`](Peer::restart_ice)).
    pub fn set_remote(&mut self, remote: IceDtlsParameters, now: Instant) -> Result<(), Error> {
        let early = match &mut self.stage {
            Stage::Over => return Err(Error::Closed),
            Stage::Undescribed { early } => std::mem::take(early),
            Stage::Securing { .. } | Stage::Secured { .. } => VecDeque::new(),
        };
        let candidates = remote.candidates.clone();
        let lite = remote.lite;
        match &mut self.remote {
            Some(known) => {
                if let Some(credentials) = known.update(remote, self.ice.is_restarting())? {
                    self.ice.set_remote(&credentials, lite, now)?;
                }
            }
            None => self.agree(remote, now)?,
        }
        for line in &candidates {
            self.add_remote_candidate(line, now);
        }
        for datagram in early {
            if let Stage::Securing { dtls } = &mut self.stage {
                // Bad ones were counted when they came, as well as could be.
                let _ = dtls.handle(&datagram, now);
            }
        }
        self.settle(now);
        Ok(())
    }

    fn agree(&mut self, remote: IceDtlsParameters, now: Instant) -> Result<(), Error> {
        let credentials = IceCredentials::of_remote(remote.ufrag, remote.pwd)?;
        let fingerprints = certificate::usable(remote.fingerprints)?;
        let setup = match (remote.setup, self.role) {
            (Setup::Active, _) => Setup::Passive,
            (Setup::Passive, _) => Setup::Active,
            (Setup::ActPass, Role::Answerer) if self.config.answer_setup == Setup::Active => {
                Setup::Active
            }
            (Setup::ActPass, Role::Answerer) => Setup::Passive,
            (Setup::ActPass, Role::Offerer) => return Err(Error::Setup(Setup::ActPass)),
        };
        let mut dtls = Association::new(
            &self.config.certificate,
            fingerprints.clone(),
            setup == Setup::Active,
            self.provider.clone(),
        )?;
        self.ice.set_remote(&credentials, remote.lite, now)?;
        if self.ice.route().is_some() {
            dtls.start(now);
        }
        self.stage = Stage::Securing { dtls };
        self.remote = Some(RemoteParameters::new(credentials, fingerprints, setup));
        Ok(())
    }

    /// Takes a trickled candidate, with or without `a=`, before or after the description. Names
    /// (mDNS) and other transports are passed over; what is not used is counted.
    pub fn add_remote_candidate(&mut self, candidate: &str, now: Instant) {
        let rejection = match candidate::parse(candidate) {
            Ok(parsed) if self.ice.add_candidate(parsed, candidate.len(), now) => return,
            Ok(_) => CandidateRejection::Surplus,
            // An empty line is the end of candidates.
            Err(CandidateRejection::Malformed) if candidate.trim().is_empty() => return,
            Err(rejection) => rejection,
        };
        self.unused_candidates.add(rejection);
    }

    /// The candidates of the other end that were not used.
    pub fn unused_candidates(&self) -> UnusedCandidates {
        self.unused_candidates
    }

    /// Checks that were not sent, to spare addresses that do not answer.
    pub fn suppressed_checks(&self) -> SuppressedChecks {
        self.ice.suppressed_checks()
    }

    /// Takes a datagram that came to our socket `local` from `remote`. A plain packet is left in
    /// `plain` when the answer is [`Received::Rtp`] or [`Received::Rtcp`].
    ///
    /// Media is taken from an address that is not [`validated`](Peer::validated), too, if it goes
    /// on with a stream that is known: authenticity and age protect it, and the other end's NAT
    /// may have given it another port. A full agent then asks that address, and the route moves
    /// with its answer; a lite one waits for the other end's next check.
    pub fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        plain: &mut Vec<u8>,
        now: Instant,
    ) -> Received {
        let route = Route { local, remote };
        let packet = match classify(datagram) {
            Kind::Rtp => Packet::Rtp,
            Kind::Rtcp => Packet::Rtcp,
            Kind::Stun => return self.handle_stun(route, datagram, now),
            Kind::Dtls => return self.handle_dtls(route, datagram, now),
            Kind::Unknown => return Received::Dropped(Drop::Unknown),
        };
        let validated = self.ice.validated(remote);
        let has_route = self.ice.route().is_some();
        let srtp = match &mut self.stage {
            Stage::Secured { srtp, .. }
                if validated || (has_route && srtp.would_continue(packet, datagram)) =>
            {
                srtp
            }
            _ if !validated => return Received::Dropped(Drop::Unvalidated),
            Stage::Over => return Received::Dropped(Drop::Closed),
            _ => return Received::Dropped(Drop::NoKeys),
        };
        let newest = match srtp.unprotect(packet, datagram, plain) {
            Ok(newest) => newest,
            Err(_) if !validated => return Received::Dropped(Drop::Unvalidated),
            Err(Rejected::Replayed) => return Received::Dropped(Drop::SrtpReplayed),
            Err(Rejected::Forged) => return Received::Dropped(Drop::SrtpForged),
        };
        if self.ice.heard_media(route, newest, now) {
            self.settle(now);
        }
        match packet {
            Packet::Rtp => Received::Rtp,
            Packet::Rtcp => Received::Rtcp,
        }
    }

    fn handle_stun(&mut self, route: Route, datagram: &[u8], now: Instant) -> Received {
        if matches!(self.stage, Stage::Over) {
            return Received::Dropped(Drop::Closed);
        }
        let outcome = self.ice.handle(route, datagram, now);
        self.settle(now);
        match outcome {
            Ok(()) => Received::Handled,
            Err(reason) => Received::Dropped(reason),
        }
    }

    fn handle_dtls(&mut self, route: Route, datagram: &[u8], now: Instant) -> Received {
        if !self.ice.validated(route.remote) {
            return Received::Dropped(Drop::Unvalidated);
        }
        let outcome = match &mut self.stage {
            Stage::Undescribed { early } if early.len() < MAX_EARLY => {
                early.push_back(datagram.to_vec());
                Ok(())
            }
            Stage::Undescribed { .. } => Err(Drop::DtlsEarly),
            Stage::Securing { dtls } | Stage::Secured { dtls, .. } => dtls.handle(datagram, now),
            Stage::Over => Err(Drop::Closed),
        };
        self.dtls_source = Some(route);
        self.settle(now);
        match outcome {
            Ok(()) => Received::Handled,
            Err(reason) => Received::Dropped(reason),
        }
    }

    /// Protects an RTP packet into `secured`, and says where to send it.
    pub fn protect_rtp(&mut self, packet: &[u8], secured: &mut Vec<u8>) -> Result<Route, NotReady> {
        self.protect(Packet::Rtp, packet, secured)
    }

    /// Protects a compound RTCP packet into `secured`, and says where to send it.
    pub fn protect_rtcp(
        &mut self,
        packet: &[u8],
        secured: &mut Vec<u8>,
    ) -> Result<Route, NotReady> {
        self.protect(Packet::Rtcp, packet, secured)
    }

    fn protect(
        &mut self,
        packet: Packet,
        plain: &[u8],
        secured: &mut Vec<u8>,
    ) -> Result<Route, NotReady> {
        let route = self.ice.route().ok_or(NotReady::NoRoute)?;
        match &mut self.stage {
            Stage::Secured { srtp, .. } => srtp
                .protect(packet, plain, secured)
                .map(|()| route)
                .map_err(|_| NotReady::Refused),
            Stage::Over => Err(NotReady::NoRoute),
            Stage::Undescribed { .. } | Stage::Securing { .. } => Err(NotReady::NoKeys),
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.ice
            .poll_transmit()
            .or_else(|| self.transmits.pop_front())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Peer::handle_timeout) is to be called. Costs nothing to ask.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dtls = match &self.stage {
            Stage::Over => return None,
            Stage::Securing { dtls } => dtls.poll_timeout(),
            Stage::Undescribed { .. } | Stage::Secured { .. } => None,
        };
        [self.ice.poll_timeout(), dtls, self.dtls_deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.ice.handle_timeout(now);
        if let Stage::Securing { dtls } = &mut self.stage {
            dtls.handle_timeout(now);
        }
        self.settle(now);
        if self.dtls_deadline.is_some_and(|at| at <= now) {
            self.end(Event::Failed(Failure::DtlsTimeout), now);
        }
    }

    /// Says goodbye to the other end; nothing but the last datagrams follows.
    pub fn close(&mut self, now: Instant) {
        if let Stage::Securing { dtls } | Stage::Secured { dtls, .. } = &mut self.stage {
            dtls.close(now);
        }
        self.take_dtls_transmits();
        self.stage = Stage::Over;
        self.dtls_deadline = None;
    }

    /// Whether an authenticated check, or the answer to one of ours, came from this address, so
    /// that what else comes from it may be for this peer. At most 16 addresses at a time.
    pub fn validated(&self, remote: SocketAddr) -> bool {
        self.ice.validated(remote)
    }

    /// Carries news between the parts and out.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.ice.poll_event() {
            match event {
                AgentEvent::Connected(route) => {
                    self.events.push_back(Event::IceConnected { route });
                    self.dtls_deadline = Some(now + self.config.failure_timeout);
                    self.start_dtls(now);
                }
                AgentEvent::Restarted(route) => {
                    if let Some(remote) = &mut self.remote {
                        remote.ice_restarted();
                    }
                    self.events.push_back(Event::IceRestarted { route });
                    if matches!(self.stage, Stage::Securing { .. }) {
                        let deadline = now + self.config.failure_timeout;
                        self.dtls_deadline.get_or_insert(deadline);
                    }
                    self.start_dtls(now);
                }
                AgentEvent::Nominated => {
                    if let Stage::Securing { dtls } = &mut self.stage {
                        dtls.greet_again();
                    }
                }
                AgentEvent::RouteChanged(route) => {
                    self.events.push_back(Event::RouteChanged { route });
                }
                AgentEvent::Disconnected => self.events.push_back(Event::Disconnected),
                AgentEvent::Reconnected => self.events.push_back(Event::Reconnected),
                AgentEvent::Failed => {
                    self.end(Event::Failed(Failure::IceTimeout), now);
                    return;
                }
            }
        }
        let news = match &mut self.stage {
            Stage::Securing { dtls } | Stage::Secured { dtls, .. } => dtls.poll_event(),
            Stage::Undescribed { .. } | Stage::Over => None,
        };
        self.take_dtls_transmits();
        match news {
            Some(DtlsEvent::Connected(srtp)) => {
                self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
                    Stage::Securing { dtls } => Stage::Secured { dtls, srtp },
                    other => other,
                };
            }
            Some(DtlsEvent::Failed(failure)) => self.end(Event::Failed(failure), now),
            Some(DtlsEvent::Closed) => self.end(Event::Closed, now),
            None => {}
        }
        self.announce();
    }

    /// There is a route: DTLS begins, unless it has.
    fn start_dtls(&mut self, now: Instant) {
        if let Stage::Securing { dtls } = &mut self.stage {
            dtls.expect_round_trip(self.ice.round_trip());
            dtls.start(now);
        }
    }

    /// Tells once that media can flow. As a server we may have keys before a nomination came
    /// through, since the other end's side of the path was up first.
    fn announce(&mut self) {
        if let Stage::Secured { srtp, .. } = &self.stage
            && !self.announced
            && self.ice.route().is_some()
        {
            self.announced = true;
            self.dtls_deadline = None;
            self.events.push_back(Event::Connected {
                suite: srtp.suite(),
                round_trip: self.ice.round_trip(),
            });
        }
    }

    /// Lets DTLS's datagrams go the way of media, or back where the last came from.
    fn take_dtls_transmits(&mut self) {
        let (Stage::Securing { dtls } | Stage::Secured { dtls, .. }) = &mut self.stage else {
            return;
        };
        let route = self.ice.route().or(self.dtls_source);
        while let Some(payload) = dtls.poll_transmit() {
            if let Some(route) = route {
                self.transmits.push_back(Transmit { route, payload });
            }
        }
    }

    fn end(&mut self, event: Event, now: Instant) {
        self.close(now);
        self.events.push_back(event);
    }
}
