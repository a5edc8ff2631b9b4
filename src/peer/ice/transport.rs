//! ICE of one peer: the session in use and, while ICE restarts, the session that is to replace it
//! (RFC 8445 section 9). Media goes on over the selected pair of the session in use until the new
//! session has a pair that works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;

use super::agent::{Agent, AgentEvent, Settings};
use super::budget::SuppressedChecks;
use super::credentials::IceCredentials;
use crate::peer::candidate::RemoteCandidate;
use crate::peer::{Drop, Error, Route, Transmit};
use crate::stun::{Class, Fingerprint, Message};

/// The ICE sessions of one peer.
pub(in crate::peer) struct IceTransport {
    current: Agent,
    /// Boxed: most calls never restart ICE.
    restart: Option<Box<Agent>>,
    /// [`AgentEvent::Disconnected`] was the last that was said of the connection.
    disconnected: bool,
}

impl IceTransport {
    pub(in crate::peer) fn new(
        settings: Settings,
        provider: Arc<dyn RTCCryptoProvider>,
        now: Instant,
    ) -> Result<Self, Error> {
        Ok(IceTransport {
            current: Agent::new(settings, provider, now)?,
            restart: None,
            disconnected: false,
        })
    }

    /// Begins a new session with these credentials, in place of one that has begun and is not in
    /// use yet. Checks under the old credentials are answered until the new session is in use.
    pub(in crate::peer) fn restart(
        &mut self,
        credentials: IceCredentials,
        now: Instant,
    ) -> Result<(), Error> {
        let agent = self.newest_mut().restarted(credentials, now)?;
        self.restart = Some(Box::new(agent));
        Ok(())
    }

    /// Whether a new session has begun that is not in use yet.
    pub(in crate::peer) fn is_restarting(&self) -> bool {
        self.restart.is_some()
    }

    /// Our credentials for the next description.
    pub(in crate::peer) fn credentials(&self) -> &IceCredentials {
        self.newest().credentials()
    }

    /// Our ufrags that checks may name: of the session in use, and of the new one.
    pub(in crate::peer) fn ufrags(&self) -> impl Iterator<Item = &str> + Clone {
        let sessions = std::iter::once(&self.current).chain(self.restart.as_deref());
        sessions.map(|agent| agent.credentials().ufrag.as_str())
    }

    fn newest(&self) -> &Agent {
        self.restart.as_deref().unwrap_or(&self.current)
    }

    fn newest_mut(&mut self) -> &mut Agent {
        self.restart.as_deref_mut().unwrap_or(&mut self.current)
    }

    /// Takes the other end's credentials for the newest session; its checks begin.
    pub(in crate::peer) fn set_remote(
        &mut self,
        credentials: &IceCredentials,
        lite: bool,
        now: Instant,
    ) -> Result<(), Error> {
        self.newest_mut().set_remote(credentials, lite, now)
    }

    /// Adds a candidate of the other end to the newest session; see [`Agent::add_candidate`].
    pub(in crate::peer) fn add_candidate(
        &mut self,
        candidate: RemoteCandidate,
        length: usize,
        now: Instant,
    ) -> bool {
        self.newest_mut().add_candidate(candidate, length, now)
    }

    /// Takes a STUN datagram: a request for the session that its USERNAME names, a response for the
    /// session that sent the request.
    pub(in crate::peer) fn handle(
        &mut self,
        route: Route,
        datagram: &[u8],
        now: Instant,
    ) -> Result<(), Drop> {
        // ICE demands FINGERPRINT of every message (RFC 8445 section 7.1.1).
        let message = Message::parse(datagram)
            .filter(|message| message.fingerprint == Fingerprint::Right)
            .ok_or(Drop::StunMalformed)?;
        let agent = match &mut self.restart {
            Some(restart) if is_for(restart, &message) => restart,
            _ => &mut self.current,
        };
        agent.handle(route, &message, now)
    }

    /// Authentic DTLS or media came this way; see [`Agent::heard_media`].
    pub(in crate::peer) fn heard_media(
        &mut self,
        route: Route,
        newest: bool,
        now: Instant,
    ) -> bool {
        self.current.heard_media(route, newest, now)
    }

    /// Whether an authenticated check came from this address.
    pub(in crate::peer) fn validated(&self, remote: SocketAddr) -> bool {
        let by_restart = || self.restart.as_ref().is_some_and(|it| it.validated(remote));
        self.current.validated(remote) || by_restart()
    }

    pub(in crate::peer) fn route(&self) -> Option<Route> {
        self.current.route()
    }

    pub(in crate::peer) fn round_trip(&self) -> Option<Duration> {
        self.current.round_trip()
    }

    /// Checks that were not sent, to spare addresses that do not answer.
    pub(in crate::peer) fn suppressed_checks(&self) -> SuppressedChecks {
        let of_restart = self.restart.as_ref().map(|it| it.suppressed_checks());
        let current = self.current.suppressed_checks();
        current.plus(of_restart.unwrap_or_default())
    }

    pub(in crate::peer) fn poll_transmit(&mut self) -> Option<Transmit> {
        let restart = self.restart.as_mut();
        restart
            .and_then(|restart| restart.poll_transmit())
            .or_else(|| self.current.poll_transmit())
    }

    pub(in crate::peer) fn poll_event(&mut self) -> Option<AgentEvent> {
        let event = self.next_event();
        match event {
            Some(AgentEvent::Disconnected) => self.disconnected = true,
            Some(AgentEvent::Reconnected) => self.disconnected = false,
            _ => {}
        }
        event
    }

    fn next_event(&mut self) -> Option<AgentEvent> {
        match self.restart.as_mut().and_then(|it| it.poll_event()) {
            Some(AgentEvent::Connected(route)) => {
                self.switch();
                return Some(AgentEvent::Restarted(route));
            }
            // The old session may still work: the call goes on with it.
            Some(AgentEvent::Failed) if self.current.route().is_some() => self.abandon_restart(),
            Some(AgentEvent::Failed) => return Some(AgentEvent::Failed),
            Some(_) | None => {}
        }
        match self.current.poll_event() {
            // The new session is being checked and fails in its own time.
            Some(AgentEvent::Failed) if self.newest().is_connecting() => None,
            event => event,
        }
    }

    /// The new session is in use from now on; the old one ends with its credentials.
    fn switch(&mut self) {
        if let Some(restart) = self.restart.take() {
            let old = std::mem::replace(&mut self.current, *restart);
            self.current.succeed(old, self.disconnected);
        }
    }

    fn abandon_restart(&mut self) {
        if let Some(restart) = self.restart.take() {
            self.current.take_over_budget(&restart);
        }
    }

    pub(in crate::peer) fn poll_timeout(&self) -> Option<Instant> {
        let restart = self.restart.as_ref().and_then(|it| it.poll_timeout());
        [self.current.poll_timeout(), restart]
            .into_iter()
            .flatten()
            .min()
    }

    pub(in crate::peer) fn handle_timeout(&mut self, now: Instant) {
        self.current.handle_timeout(now);
        if let Some(restart) = &mut self.restart {
            restart.handle_timeout(now);
        }
    }
}

/// Whether a message is for this session.
fn is_for(agent: &Agent, message: &Message<'_>) -> bool {
    match message.class {
        Class::Request => message
            .username_halves()
            .is_some_and(|(ours, _)| ours == agent.credentials().ufrag.as_bytes()),
        Class::Success | Class::Error | Class::Indication => agent.has_sent(&message.transaction),
    }
}
