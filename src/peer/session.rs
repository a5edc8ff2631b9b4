//! The WebRTC side of one call: ICE, DTLS and SRTP joined, without sockets or clocks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rtc_crypto::{RTCCryptoProvider, RTCRandom};

use super::candidate::{self, CandidateRejection, UnusedCandidates};
use super::demultiplex::{Kind, classify};
use super::dtls::{Association, DtlsEvent};
use super::ice::{Agent, AgentEvent, Settings};
use super::{
    Config, Drop, Error, Event, Failure, NotReady, Received, Role, Route, SuppressedChecks,
    Transmit, certificate,
};
use crate::sdp::{Fingerprint, IceDtlsParameters, Setup};
use crate::srtp::{Packet, Rejected, Session};

/// DTLS datagrams kept while the other end's description is under way.
const MAX_EARLY: usize = 4;
/// Lengths of our credentials in characters of six bits: 72 and 144 bits. RFC 8839 section 5.4
/// asks for 24 and 128; the ufrag is also what tells calls on one port apart.
const UFRAG_LENGTH: usize = 12;
const PWD_LENGTH: usize = 24;

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

/// What the other end said of itself that must not change (RFC 8842 section 5.5).
struct Agreed {
    ufrag: String,
    pwd: crate::redacted::Redacted<String>,
    fingerprints: Vec<Fingerprint>,
    setup: Setup,
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
    pwd: crate::redacted::Redacted<String>,
    ufrag: String,
    provider: Arc<dyn RTCCryptoProvider>,
    agent: Agent,
    stage: Stage,
    agreed: Option<Agreed>,
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
        let ufrag = credential(UFRAG_LENGTH, provider.random())?;
        let pwd = credential(PWD_LENGTH, provider.random())?;
        let settings = Settings {
            ufrag: ufrag.clone(),
            pwd: pwd.clone(),
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
            ufrag,
            pwd: crate::redacted::Redacted::new(pwd),
            agent: Agent::new(settings, provider.clone(), now)?,
            provider,
            stage: Stage::Undescribed {
                early: VecDeque::new(),
            },
            agreed: None,
            dtls_deadline: None,
            dtls_source: None,
            announced: false,
            unused_candidates: UnusedCandidates::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Our ufrag: the first half of the `USERNAME` of checks for us.
    pub fn local_ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Our transport for an offer or an answer. `setup` is `actpass` until the other end chose,
    /// for an offerer; ever after it is the role in force, which never changes.
    pub fn local_description(&self) -> IceDtlsParameters {
        let setup = match (&self.agreed, self.role) {
            (Some(agreed), _) => agreed.setup,
            (None, Role::Offerer) => Setup::ActPass,
            (None, Role::Answerer) => self.config.answer_setup,
        };
        let candidates = self.config.local_candidates.iter().enumerate();
        IceDtlsParameters {
            ufrag: self.ufrag.clone(),
            pwd: self.pwd.reveal().clone(),
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

    /// Takes the other end's description: the offer or answer at first, later the same again with
    /// perhaps more candidates.
    pub fn set_remote(&mut self, remote: IceDtlsParameters, now: Instant) -> Result<(), Error> {
        let early = match &mut self.stage {
            Stage::Over => return Err(Error::Closed),
            Stage::Undescribed { early } => std::mem::take(early),
            Stage::Securing { .. } | Stage::Secured { .. } => VecDeque::new(),
        };
        let candidates = remote.candidates.clone();
        match &self.agreed {
            Some(agreed) => check_unchanged(agreed, remote)?,
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
        let (ufrag, pwd) = (remote.ufrag.len(), remote.pwd.len());
        if !(4..=256).contains(&ufrag) || !(22..=256).contains(&pwd) {
            return Err(Error::IceCredentials { ufrag, pwd });
        }
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
        self.agent
            .set_remote(remote.ufrag.clone(), &remote.pwd, remote.lite, now)?;
        if self.agent.route().is_some() {
            dtls.start(now);
        }
        self.stage = Stage::Securing { dtls };
        self.agreed = Some(Agreed {
            ufrag: remote.ufrag,
            pwd: crate::redacted::Redacted::new(remote.pwd),
            fingerprints,
            setup,
        });
        Ok(())
    }

    /// Takes a trickled candidate, with or without `a=`, before or after the description. Names
    /// (mDNS) and other transports are passed over; what is not used is counted.
    pub fn add_remote_candidate(&mut self, candidate: &str, now: Instant) {
        let rejection = match candidate::parse(candidate) {
            Ok(parsed) if self.agent.add_candidate(parsed, candidate.len(), now) => return,
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
        self.agent.suppressed_checks()
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
        let validated = self.agent.validated(remote);
        let has_route = self.agent.route().is_some();
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
        if self.agent.heard_media(route, newest, now) {
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
        let outcome = self.agent.handle(route, datagram, now);
        self.settle(now);
        match outcome {
            Ok(()) => Received::Handled,
            Err(reason) => Received::Dropped(reason),
        }
    }

    fn handle_dtls(&mut self, route: Route, datagram: &[u8], now: Instant) -> Received {
        if !self.agent.validated(route.remote) {
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
        let route = self.agent.route().ok_or(NotReady::NoRoute)?;
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
        self.agent
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
        [self.agent.poll_timeout(), dtls, self.dtls_deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.agent.handle_timeout(now);
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
        self.agent.validated(remote)
    }

    /// Carries news between the parts and out.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            match event {
                AgentEvent::Connected(route) => {
                    self.dtls_deadline = Some(now + self.config.failure_timeout);
                    self.events.push_back(Event::IceConnected { route });
                    if let Stage::Securing { dtls } = &mut self.stage {
                        dtls.expect_round_trip(self.agent.round_trip());
                        dtls.start(now);
                    }
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

    /// Tells once that media can flow. As a server we may have keys before a nomination came
    /// through, since the other end's side of the path was up first.
    fn announce(&mut self) {
        if let Stage::Secured { srtp, .. } = &self.stage
            && !self.announced
            && self.agent.route().is_some()
        {
            self.announced = true;
            self.dtls_deadline = None;
            self.events.push_back(Event::Connected {
                suite: srtp.suite(),
                round_trip: self.agent.round_trip(),
            });
        }
    }

    /// Lets DTLS's datagrams go the way of media, or back where the last came from.
    fn take_dtls_transmits(&mut self) {
        let (Stage::Securing { dtls } | Stage::Secured { dtls, .. }) = &mut self.stage else {
            return;
        };
        let route = self.agent.route().or(self.dtls_source);
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

/// A later description has to name the same end in the same role.
fn check_unchanged(agreed: &Agreed, remote: IceDtlsParameters) -> Result<(), Error> {
    if remote.ufrag != agreed.ufrag || remote.pwd != *agreed.pwd.reveal() {
        return Err(Error::IceRestart);
    }
    if certificate::usable(remote.fingerprints)? != agreed.fingerprints {
        return Err(Error::FingerprintChanged);
    }
    if remote.setup == agreed.setup {
        // Both ends in the same role.
        return Err(Error::Setup(remote.setup));
    }
    Ok(())
}

/// Random ice-chars (RFC 8839 section 5.4).
fn credential(length: usize, random: &dyn RTCRandom) -> Result<String, Error> {
    const ICE_CHARS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; length];
    random
        .fill(&mut bytes)
        .map_err(|error| Error::Crypto(error.to_string()))?;
    Ok(bytes
        .into_iter()
        .map(|byte| char::from(ICE_CHARS[usize::from(byte % 64)]))
        .collect())
}
