//! The WebRTC side of one call, put together from the WebRTC project's crates without anything
//! of the gateway's: an offer, ICE checks, a DTLS handshake, SRTP keys.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error as RtcError;
use rtc_srtp::config::{Config as SrtpConfig, LABEL_EXTRACTOR_DTLS_SRTP, SessionKeys};
use rtc_srtp::protection_profile::ProtectionProfile;
use sha2::{Digest, Sha256};

use crate::arguments::Mode;
use crate::stun::{self, Class, Credentials};

/// How long ICE and DTLS of one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until something is said again.
const REPEAT: Duration = Duration::from_millis(50);

/// What all browsers share.
pub struct Identity {
    certificate: Certificate,
    fingerprint: String,
    pub provider: Arc<dyn RTCCryptoProvider>,
}

impl Identity {
    pub fn new() -> Self {
        let provider = rtc_crypto::default_provider().expect("cryptography is built in");
        let certificate =
            Certificate::generate_self_signed(vec!["load".to_owned()], provider.crypto())
                .expect("a certificate");
        let fingerprint = fingerprint_of(&certificate.certificate[0]);
        Identity {
            certificate,
            fingerprint,
            provider,
        }
    }
}

fn fingerprint_of(der: &[u8]) -> String {
    let pairs: Vec<String> = Sha256::digest(der)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pairs.join(":")
}

/// A browser that has made its offer.
pub struct Offering {
    pub socket: UdpSocket,
    pub offer: String,
    ufrag: String,
    password: String,
}

impl Offering {
    pub fn new(identity: &Identity, mode: Mode) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = socket.local_addr().expect("bound").port();
        let ufrag = format!("{:08x}", rand::random::<u32>());
        let password = format!("{:032x}", rand::random::<u128>());
        let (payload_type, codec) = match mode {
            Mode::Transcoded => (
                111,
                "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
                 a=rtpmap:110 telephone-event/48000\r\n",
            ),
            Mode::PassedThrough => (
                0,
                "a=rtpmap:0 PCMU/8000\r\na=rtpmap:110 telephone-event/8000\r\n",
            ),
        };
        let fingerprint = &identity.fingerprint;
        let offer = format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio {port} UDP/TLS/RTP/SAVPF {payload_type} 110\r\nc=IN IP4 127.0.0.1\r\n\
             a=candidate:1 1 udp 2122260223 127.0.0.1 {port} typ host\r\n\
             a=end-of-candidates\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\n\
             a=sendrecv\r\na=rtcp-mux\r\n{codec}"
        );
        Offering {
            socket,
            offer,
            ufrag,
            password,
        }
    }

    /// Does ICE and DTLS with the end that `answer` describes.
    pub fn connect(self, identity: &Identity, answer: &str) -> Browser {
        let value = |name: &str| {
            answer
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_else(|| panic!("no {name} in the answer:\n{answer}"))
                .trim()
        };
        let gateway = answer
            .lines()
            .filter_map(|line| line.strip_prefix("a=candidate:"))
            .filter_map(|candidate| {
                let words: Vec<&str> = candidate.split_whitespace().collect();
                format!("{}:{}", words.get(4)?, words.get(5)?).parse().ok()
            })
            .find(|address: &SocketAddr| address.ip().is_loopback())
            .expect("a candidate on loopback");
        let credentials = Credentials::new(
            (&self.ufrag, &self.password),
            (value("a=ice-ufrag:"), value("a=ice-pwd:")),
            identity.provider.crypto(),
        );
        let fingerprint = value("a=fingerprint:sha-256 ").to_owned();
        // RFC 8842 section 5.3: the answer chooses who says hello.
        let client = value("a=setup:") == "passive";
        self.socket
            .set_read_timeout(Some(REPEAT))
            .expect("a timeout");
        let mut connecting = Connecting {
            socket: self.socket,
            gateway,
            credentials,
        };
        connecting.check();
        let keys = connecting.handshake(identity, fingerprint, client);
        Browser {
            socket: connecting.socket,
            gateway,
            credentials: Some(connecting.credentials),
            keys,
        }
    }
}

/// A browser that is ready for media.
pub struct Browser {
    pub socket: UdpSocket,
    pub gateway: SocketAddr,
    /// None where no ICE is spoken: with the bare loop.
    pub credentials: Option<Credentials>,
    pub keys: SessionKeys,
}

struct Connecting {
    socket: UdpSocket,
    gateway: SocketAddr,
    credentials: Credentials,
}

impl Connecting {
    /// Receives; checks of the gateway's are answered on the way.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (length, source) = match self.socket.recv_from(buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return None;
            }
            Err(error) => panic!("browser's socket: {error}"),
        };
        if stun::class(&buffer[..length]) == Class::Request {
            let response = self.credentials.response(&buffer[..length], source);
            self.send(&response);
        }
        Some(length)
    }

    fn send(&self, datagram: &[u8]) {
        self.socket
            .send_to(datagram, self.gateway)
            .expect("loopback takes a datagram");
    }

    fn check(&mut self) {
        let begin = Instant::now();
        let mut buffer = [0; 2_048];
        let mut next = begin;
        while begin.elapsed() < PATIENCE {
            if Instant::now() >= next {
                next = Instant::now() + REPEAT;
                let request = self.credentials.request();
                self.send(&request);
            }
            if let Some(length) = self.receive(&mut buffer)
                && stun::class(&buffer[..length]) == Class::Success
            {
                return;
            }
        }
        panic!("no answer to ICE checks from {}", self.gateway);
    }

    fn handshake(&mut self, identity: &Identity, fingerprint: String, client: bool) -> SessionKeys {
        let config = ConfigBuilder::default()
            .with_crypto_provider(identity.provider.clone())
            .with_certificates(vec![identity.certificate.clone()])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_verify_peer_certificate(Some(Arc::new(move |chain: &[Vec<u8>], _: &[_]| {
                match chain.first() {
                    Some(der) if fingerprint_of(der) == fingerprint => Ok(()),
                    _ => Err(RtcError::ErrNoMatchingCertificateFingerprint),
                }
            })))
            .build(client, None)
            .expect("a DTLS configuration");
        let config = Arc::new(config);
        let local = self.socket.local_addr().expect("bound");
        let gateway = self.gateway;
        let server = (!client).then(|| Arc::clone(&config));
        let mut endpoint = Endpoint::new(local, TransportProtocol::UDP, server);
        let begin = Instant::now();
        if client {
            endpoint
                .connect(begin, gateway, config, None)
                .expect("a ClientHello");
        }
        let mut buffer = [0; 4_096];
        let mut complete = false;
        while begin.elapsed() < PATIENCE {
            while let Some(transmit) = endpoint.poll_transmit() {
                self.send(&transmit.message);
            }
            if complete {
                return session_keys(&endpoint, gateway, client);
            }
            let received = self.receive(&mut buffer);
            let now = Instant::now();
            if let Some(length) = received
                && (20..64).contains(&buffer[0])
            {
                let events = endpoint
                    .read(now, gateway, None, BytesMut::from(&buffer[..length]))
                    .expect("a good DTLS record");
                complete |= events
                    .iter()
                    .any(|event| matches!(event, EndpointEvent::HandshakeComplete));
            }
            // An error before the first hello: there is no association yet.
            let _ = endpoint.handle_timeout(gateway, now);
        }
        panic!("no DTLS with {gateway}");
    }
}

fn session_keys(endpoint: &Endpoint, gateway: SocketAddr, client: bool) -> SessionKeys {
    let state = endpoint
        .get_connection_state(gateway)
        .expect("it is complete");
    let mut config = SrtpConfig {
        profile: PROFILE,
        ..SrtpConfig::default()
    };
    let material = state
        .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], config.keying_material_len())
        .expect("keys");
    config
        .set_session_keys_from_keying_material(material.as_ref(), client)
        .expect("keys of the right length");
    config.keys
}

/// What Chromium and the gateway agree on.
pub const PROFILE: ProtectionProfile = ProtectionProfile::AeadAes128Gcm;
