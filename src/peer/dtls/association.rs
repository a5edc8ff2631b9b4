//! One DTLS association: from the other end's fingerprint to keys for SRTP.
//!
//! The association does not know addresses: its datagrams go where media goes. So ICE can move
//! the route in the middle of a handshake.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error as RtcError;

use super::keys;
use super::records::Records;
use crate::peer::{Certificate, Drop, Error, Failure, certificate};
use crate::sdp::Fingerprint;
use crate::srtp::Session;

/// Stands for the other end inside the endpoint, which tells its associations apart by address.
const OTHER_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 1);
/// What `rtc-dtls` waits before it repeats a flight. It never waits longer, and repeats seven
/// times; so we call on it later each time.
const CRATE_INTERVAL: Duration = Duration::from_millis(50);
/// Our first wait while nothing is known of the path. Less than RFC 6347's second, as browsers do:
/// ICE proved that the path is there.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The wait doubles up to here.
const LONGEST_WAIT: Duration = Duration::from_millis(3_200);

/// What an association tells.
pub(in crate::peer) enum DtlsEvent {
    /// Keys are agreed with the end that the fingerprint names.
    Connected(Box<Session>),
    /// It is over.
    Failed(Failure),
    /// The other end said goodbye.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A client that has no way to send yet.
    Idle,
    Handshaking,
    Established,
    Over,
}

/// A DTLS association.
pub(in crate::peer) struct Association {
    endpoint: Endpoint,
    config: Arc<HandshakeConfig>,
    client: bool,
    state: State,
    records: Records,
    /// The crate's timer as last seen, and how often it went off in this flight.
    timer: Option<Instant>,
    repeats: u32,
    first_wait: Duration,
    event: Option<DtlsEvent>,
}

impl Association {
    /// An association with the end that one of the fingerprints names.
    pub(in crate::peer) fn new(
        own: &Certificate,
        fingerprints: Vec<Fingerprint>,
        client: bool,
        provider: Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, Error> {
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![own.dtls()])
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
            ])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // No authority vouches for these certificates: the fingerprint does, below, before
            // any key is made (RFC 8827 section 5.1).
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(CRATE_INTERVAL)
            .with_verify_peer_certificate(Some(Arc::new(move |chain: &[Vec<u8>], _: &[_]| {
                match chain.first() {
                    Some(der) if certificate::matches(&fingerprints, der) => Ok(()),
                    _ => Err(RtcError::ErrNoMatchingCertificateFingerprint),
                }
            })))
            .build(client, None)
            .map_err(|error| Error::Crypto(error.to_string()))?;
        let config = Arc::new(config);
        let server_config = (!client).then(|| config.clone());
        Ok(Association {
            endpoint: Endpoint::new(OTHER_END, TransportProtocol::UDP, server_config),
            config,
            client,
            state: if client {
                State::Idle
            } else {
                State::Handshaking
            },
            records: Records::default(),
            timer: None,
            repeats: 0,
            first_wait: FIRST_WAIT,
            event: None,
        })
    }

    /// There is a way to send: a client says hello.
    pub(in crate::peer) fn start(&mut self, now: Instant) {
        if self.state != State::Idle {
            return;
        }
        self.state = State::Handshaking;
        let result = self
            .endpoint
            .connect(now, OTHER_END, self.config.clone(), None);
        if result.is_err() {
            self.fail(Failure::DtlsFailed);
        }
        self.note_timer();
    }

    /// Waits for answers as the path's round trip suggests.
    pub(in crate::peer) fn expect_round_trip(&mut self, round_trip: Option<Duration>) {
        if let Some(round_trip) = round_trip {
            self.first_wait = (round_trip * 2).clamp(CRATE_INTERVAL, Duration::from_secs(1));
        }
    }

    /// The other end took up the path just now, and may have dropped a hello that came before:
    /// a client that heard nothing yet says it again.
    pub(in crate::peer) fn greet_again(&mut self) {
        if self.state == State::Handshaking
            && self.client
            && self.records.is_new()
            && let Some(timer) = self.timer
        {
            // It compares this with its timer only.
            let result = self.endpoint.handle_timeout(OTHER_END, timer);
            self.timer = self.endpoint.poll_timeout(&OTHER_END);
            if result.is_err() {
                self.fail(Failure::DtlsTimeout);
            }
        }
    }

    /// Takes a DTLS datagram.
    pub(in crate::peer) fn handle(&mut self, datagram: &[u8], now: Instant) -> Result<(), Drop> {
        let established = match self.state {
            State::Idle => return Err(Drop::DtlsEarly),
            State::Handshaking => false,
            State::Established => true,
            State::Over => return Err(Drop::Closed),
        };
        let admitted = self.records.admit(datagram, !self.client, established)?;
        let result = self
            .endpoint
            .read(now, OTHER_END, None, BytesMut::from(&admitted[..]));
        self.note_timer();
        match result {
            Ok(events) => events.into_iter().for_each(|event| self.note(event)),
            Err(RtcError::ErrNoMatchingCertificateFingerprint) => {
                self.fail(Failure::FingerprintMismatch);
            }
            Err(RtcError::ErrAlertFatalOrClose) => self.fail(Failure::DtlsFailed),
            // A warning, of which nobody sends any that matter.
            Err(RtcError::Other(_)) => {}
            Err(_) if !established => self.fail(Failure::DtlsFailed),
            Err(_) => {}
        }
        Ok(())
    }

    fn note(&mut self, event: EndpointEvent) {
        match event {
            EndpointEvent::HandshakeComplete => match self.session() {
                Some(session) => {
                    self.state = State::Established;
                    self.event = Some(DtlsEvent::Connected(Box::new(session)));
                }
                None => self.fail(Failure::DtlsFailed),
            },
            EndpointEvent::PeerClosed if self.state == State::Established => {
                self.state = State::Over;
                self.event = Some(DtlsEvent::Closed);
            }
            EndpointEvent::PeerClosed => self.fail(Failure::DtlsFailed),
            // No data channels.
            _ => {}
        }
    }

    fn session(&self) -> Option<Session> {
        let state = self.endpoint.get_connection_state(OTHER_END)?;
        let srtp_keys = keys::srtp_keys(state, self.client)?;
        Session::new(&srtp_keys).ok()
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Over;
        self.event = Some(DtlsEvent::Failed(failure));
    }

    pub(in crate::peer) fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.event.take()
    }

    pub(in crate::peer) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let transmit = self.endpoint.poll_transmit()?;
        Some(Vec::from(transmit.message))
    }

    pub(in crate::peer) fn poll_timeout(&self) -> Option<Instant> {
        if self.state != State::Handshaking {
            return None;
        }
        let wait = self.first_wait * (1 << self.repeats.min(6));
        self.timer
            .map(|at| at + (wait.min(LONGEST_WAIT) - CRATE_INTERVAL))
    }

    pub(in crate::peer) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        self.repeats += 1;
        let result = self.endpoint.handle_timeout(OTHER_END, now);
        self.timer = self.endpoint.poll_timeout(&OTHER_END);
        if result.is_err() {
            self.fail(Failure::DtlsTimeout);
        }
    }

    /// A timer that moved belongs to a new flight.
    fn note_timer(&mut self) {
        let timer = self.endpoint.poll_timeout(&OTHER_END);
        if timer != self.timer {
            self.timer = timer;
            self.repeats = 0;
        }
    }

    /// Says goodbye (`close_notify`, RFC 5246 section 7.2.1).
    pub(in crate::peer) fn close(&mut self, now: Instant) {
        // A handshake in progress has nobody to say it to, but an alert ends it faster.
        if self.state != State::Over {
            self.state = State::Over;
            // It fails for want of an association only, which is as good as closed.
            let _ = self.endpoint.close(now);
        }
    }
}
