//! SIP over TLS on loopback, with certificates made here: who is believed, who is refused, and
//! that `sips:` is never less than TLS.
#![expect(clippy::disallowed_methods, reason = "drives real sockets")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::loopback::{converse, next};
use super::wire::{self, SDP, Wire, call_to, trunk, value};
use crate::sip::stack::transport::Inbound;
use crate::sip::stack::transport::credentials::Sources;
use crate::sip::stack::transport::reloading::watch;
use crate::sip::*;

/// An authority and a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("trunkline-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        fs::write(folder.join("ca.pem"), issuer.pem()).expect("written");
        Authority { issuer, folder }
    }

    pub fn file(&self) -> Option<PathBuf> {
        Some(self.folder.join("ca.pem"))
    }

    /// A certificate for a name, in files of that name.
    pub fn sign(&self, name: &str) -> Option<Certificate> {
        let certificate = Certificate {
            chain: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        self.sign_into(name, &certificate);
        Some(certificate)
    }

    fn sign_into(&self, name: &str, into: &Certificate) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        fs::write(&into.chain, signed.pem()).expect("written");
        fs::write(&into.key, key.serialize_pem()).expect("written");
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn tls_trunk(ip: &str, port: u16) -> Trunk {
    let mut trunk = trunk("peer");
    trunk.targets[0].target = Target {
        host: ip.trim_matches(['[', ']']).to_owned(),
        port: Some(port),
        transport: Some(Transport::Tls),
    };
    trunk.tls.name = Some("pbx.test".to_owned());
    trunk
}

pub async fn agent(
    ip: &str,
    port: u16,
    change: impl FnOnce(&mut Config),
) -> (Handle, mpsc::Receiver<Incoming>) {
    let mut config = Config {
        listen: vec![Listen {
            transport: Transport::Tls,
            address: format!("{ip}:0").parse().expect("address"),
        }],
        trunks: vec![tls_trunk(ip, port)],
        ..Config::default()
    };
    change(&mut config);
    let (sender, incoming) = mpsc::channel(8);
    (start(config, sender).await.expect("starts"), incoming)
}

/// A called side that shows a certificate for `pbx.test`.
async fn callee(authority: &Authority) -> (Handle, mpsc::Receiver<Incoming>, u16) {
    let (callee, incoming) = agent("127.0.0.1", 9, |config| {
        config.tls.certificate = authority.sign("pbx.test");
        config.tls.authorities = authority.file();
    })
    .await;
    let port = callee.local_addresses()[0].address.port();
    (callee, incoming, port)
}

/// Calls, and gives what comes first.
pub async fn try_to_call(caller: &Handle) -> Event {
    let (sender, mut events) = mpsc::channel(16);
    let outgoing = call_to("peer");
    caller.invite(outgoing, sender).await.expect("placed");
    next(&mut events).await
}

#[track_caller]
pub fn is_refused(event: &Event) {
    assert!(
        matches!(
            event,
            Event::Refused {
                status: 503,
                local: true,
                ..
            }
        ),
        "{event:?}"
    );
}

async fn call_over_tls(ip: &str, sips: bool) {
    let authority = Authority::new();
    let trust = |config: &mut Config| {
        // Each is the other's PBX.
        config.tls.certificate = authority.sign("pbx.test");
        config.tls.authorities = authority.file();
        config.trunks[0].sips = sips;
    };
    let (callee, mut incoming) = agent(ip, 9, trust).await;
    let port = callee.local_addresses()[0].address.port();
    let (caller, _unused) = agent(ip, port, trust).await;
    converse(&caller, &callee, &mut incoming, SDP).await;
}

#[tokio::test]
async fn over_tls() {
    call_over_tls("127.0.0.1", false).await;
    call_over_tls("[::1]", false).await;
}

#[tokio::test]
async fn a_sips_call_over_tls() {
    call_over_tls("127.0.0.1", true).await;
}

#[tokio::test]
async fn without_a_certificate_of_its_own_a_caller_uses_the_connection_it_opened() {
    let authority = Authority::new();
    let (_callee, mut incoming, port) = callee(&authority).await;
    let (caller, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = authority.file();
    })
    .await;
    let (sender, _events) = mpsc::channel(16);
    let outgoing = Outgoing {
        trunk: "peer".to_owned(),
        to_user: "600".to_owned(),
        body: SDP.into(),
        ..Outgoing::default()
    };
    caller.invite(outgoing, sender).await.expect("placed");
    assert_eq!(next(&mut incoming).await.request_user, "600");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (_callee, _incoming, port) = callee(&authority).await;
    let (caller, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = authority.file();
        config.trunks[0].tls.name = Some("other.test".to_owned());
    })
    .await;
    is_refused(&try_to_call(&caller).await);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_unless_nothing_is_verified() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_callee, mut incoming, port) = callee(&authority).await;
    let (caller, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = other.file();
    })
    .await;
    is_refused(&try_to_call(&caller).await);
    let (caller, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = other.file();
        config.trunks[0].tls.verify = false;
    })
    .await;
    let calling = tokio::spawn(async move { try_to_call(&caller).await });
    next(&mut incoming).await;
    calling.abort();
}

#[tokio::test]
async fn a_client_certificate_is_demanded() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (callee, mut incoming) = agent("127.0.0.1", 9, |config| {
        config.tls.certificate = authority.sign("pbx.test");
        config.tls.authorities = authority.file();
        config.tls.client_authorities = authority.file();
    })
    .await;
    let port = callee.local_addresses()[0].address.port();
    let (nameless, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = authority.file();
    })
    .await;
    is_refused(&try_to_call(&nameless).await);
    let (unknown_source, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = authority.file();
        config.trunks[0].tls.certificate = other.sign("gateway.test");
    })
    .await;
    is_refused(&try_to_call(&unknown_source).await);
    let (known, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = authority.file();
        config.tls.certificate = authority.sign("pbx.test");
        config.trunks[0].tls.certificate = authority.sign("gateway.test");
    })
    .await;
    converse(&known, &callee, &mut incoming, SDP).await;
}

#[tokio::test]
async fn certificates_are_read_again_and_a_broken_one_changes_nothing() {
    let (before, after) = (Authority::new(), Authority::new());
    let (callee, mut incoming, port) = callee(&before).await;
    let caller = async |authority: &Authority| {
        let (caller, _) = agent("127.0.0.1", port, |config| {
            config.tls.authorities = authority.file();
            config.tls.certificate = before.sign("pbx.test");
        })
        .await;
        caller
    };
    let open = caller(&before).await;
    converse(&open, &callee, &mut incoming, SDP).await;
    is_refused(&try_to_call(&caller(&after).await).await);

    let certificate = before.sign("pbx.test").expect("made");
    after.sign_into("pbx.test", &certificate);
    callee.read_certificates().await;
    // The new one is in force once a handshake says so.
    let late = {
        let mut tries = 0;
        loop {
            let late = caller(&after).await;
            after.sign_into("pbx.test", &certificate);
            let (sender, mut events) = mpsc::channel(16);
            let outgoing = Outgoing {
                trunk: "peer".to_owned(),
                to_user: "600".to_owned(),
                body: SDP.into(),
                ..Outgoing::default()
            };
            late.invite(outgoing, sender).await.expect("placed");
            tokio::select! {
                Some(_) = incoming.recv() => break late,
                _ = events.recv() => {}
            }
            tries += 1;
            assert!(tries < 50, "the new certificate is never shown");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // The connection of before is still open, and is used.
    converse(&open, &callee, &mut incoming, SDP).await;

    fs::write(&certificate.chain, "nothing").expect("written");
    callee.read_certificates().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(late);
    let (again, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = after.file();
    })
    .await;
    let calling = tokio::spawn(async move { try_to_call(&again).await });
    next(&mut incoming).await;
    calling.abort();
}

#[tokio::test(start_paused = true)]
async fn changed_certificates_are_noticed_within_a_minute() {
    let authority = Authority::new();
    let certificate = authority.sign("pbx.test").expect("made");
    let touched = |seconds| {
        let file = fs::File::options().write(true).open(&certificate.chain);
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let touched = file.and_then(|file| file.set_modified(time));
        touched.expect("the file is ours");
    };
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Tls,
            address: "127.0.0.1:0".parse().expect("address"),
        }],
        tls: Tls {
            certificate: Some(certificate.clone()),
            authorities: authority.file(),
            ..Tls::default()
        },
        ..Config::default()
    };
    let (sender, mut reports) = mpsc::channel(1);
    let sources = Sources::of(&config.transport()).expect("something speaks TLS");
    let watching = tokio::spawn(watch(sources, Arc::default(), sender));
    let minutes = |count: u64| Duration::from_secs(count * 60 + 1);
    let unchanged = timeout(minutes(5), reports.recv()).await;
    assert!(unchanged.is_err(), "nothing has changed");
    touched(1_000_000);
    let changed = timeout(minutes(1), reports.recv()).await;
    assert!(matches!(changed, Ok(Some(Inbound::Credentials(_)))));
    fs::write(&certificate.chain, "nothing").expect("written");
    touched(2_000_000);
    let broken = timeout(minutes(5), reports.recv()).await;
    assert!(broken.is_err(), "a broken file changes nothing");
    watching.abort();
}

#[tokio::test]
async fn a_start_with_a_broken_certificate_names_the_file() {
    let authority = Authority::new();
    let broken = authority.sign("pbx.test").expect("made");
    fs::write(&broken.key, "nothing").expect("written");
    let config = Config {
        listen: vec![Listen {
            transport: Transport::Tls,
            address: "127.0.0.1:0".parse().expect("address"),
        }],
        tls: Tls {
            certificate: Some(broken),
            ..Tls::default()
        },
        ..Config::default()
    };
    let (sender, _incoming) = mpsc::channel(8);
    let error = start(config, sender).await.expect_err("it is broken");
    assert!(error.to_string().contains("pbx.test.key"), "{error}");
}

/// A connection from another address of loopback.
async fn stalling(port: u16, source: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((source, 0).into())
        .expect("all of 127/8 is loopback");
    socket
        .connect(([127, 0, 0, 1], port).into())
        .await
        .expect("it listens")
}

#[tokio::test]
async fn handshakes_that_stall_harm_nobody() {
    let authority = Authority::new();
    let (callee, mut incoming, port) = callee(&authority).await;
    let mut stalled = Vec::new();
    for _ in 0..300 {
        stalled.push(stalling(port, [127, 0, 0, 2]).await);
    }
    let (caller, _unused) = agent("127.0.0.1", port, |config| {
        config.tls.authorities = authority.file();
        config.tls.certificate = authority.sign("pbx.test");
    })
    .await;
    converse(&caller, &callee, &mut incoming, SDP).await;
}

fn sips_wire(transports: &[Transport]) -> Wire {
    let mut trunk = trunk("pbx");
    trunk.targets[0].target.transport = Some(Transport::Tls);
    trunk.targets[0].target.port = None;
    trunk.sips = true;
    let listen = |transport: &Transport| Listen {
        transport: *transport,
        address: format!("192.0.2.1:{}", transport.default_port())
            .parse()
            .expect("address"),
    };
    Wire::with(Config {
        listen: transports.iter().map(listen).collect(),
        trunks: vec![trunk],
        ..Config::default()
    })
}

#[test]
fn a_sips_call_is_sips_all_through() {
    let mut wire = sips_wire(&[Transport::Udp, Transport::Tls]);
    let (leg, invite) = wire.call();
    assert_eq!(invite.uri, "sips:600@pbx.example");
    assert!(value(&invite.headers, "Via").starts_with("SIP/2.0/TLS 192.0.2.1:5061"));
    assert_eq!(
        value(&invite.headers, "Contact"),
        "<sips:alice@192.0.2.1:5061>"
    );
    let contact = "Contact: <sips:600@192.0.2.2>\r\n";
    wire.answer_with(&invite, 200, "b1", contact, "");
    assert_eq!(wire.sent_request("ACK").uri, "sips:600@192.0.2.2");
    wire.command(leg, Command::Hangup { cause: None });
    let bye = wire.sent_request("BYE");
    assert!(value(&bye.headers, "Via").starts_with("SIP/2.0/TLS "));
}

#[test]
fn sips_is_never_sent_without_tls() {
    // Nothing of ours speaks TLS.
    let mut wire = sips_wire(&[Transport::Udp, Transport::Tcp]);
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        ..Outgoing::default()
    };
    wire.agent.invite(outgoing, wire.now).expect("trunk exists");
    wire.quiet();
    is_refused(&wire.event().expect("told"));

    // A proxy puts itself on the way without TLS, or with `sips:` over UDP.
    for route in ["sip:192.0.2.9;lr", "sips:192.0.2.9;lr;transport=udp"] {
        let mut wire = sips_wire(&[Transport::Udp, Transport::Tls]);
        let (_, invite) = wire.call();
        let headers = format!("Record-Route: <{route}>\r\nContact: <sips:600@192.0.2.2>\r\n");
        wire.answer_with(&invite, 200, "b1", &headers, "");
        wire.quiet();
    }
}

#[test]
fn the_answer_to_a_sips_request_has_a_sips_contact() {
    let mut wire = sips_wire(&[Transport::Tls]);
    let invite = wire::request("INVITE", 1, "inv1", "", SDP)
        .replace("INVITE sip:", "INVITE sips:")
        .replace("SIP/2.0/UDP", "SIP/2.0/TLS");
    let peer = "192.0.2.2:5061".parse().expect("address");
    let flow = Flow {
        connection: Some(1),
        ..Flow::new(Transport::Tls, 0, peer)
    };
    wire.agent.handle_message(&invite.into(), flow, wire.now);
    wire.sent_status(100);
    let leg = wire.incoming().leg;
    wire.command(leg, Command::Accept { body: SDP.into() });
    let accepted = wire.sent_status(200);
    assert_eq!(
        value(&accepted.headers, "Contact"),
        "<sips:alice@192.0.2.1:5061>"
    );
}
