//! A redirection to a TLS host that is not the trunk's: nothing of the trunk's TLS holds there, and
//! nothing of ours is shown.
#![expect(clippy::disallowed_methods, reason = "drives real sockets")]

use std::time::Duration;

use tokio::net::UdpSocket;

use super::loopback::next;
use super::tls::{Authority, agent, is_refused, try_to_call};
use super::wire::*;
use crate::sip::*;

/// Follows redirections, believes any certificate and listens for TLS too.
fn trusting(trunk: &mut Trunk) {
    trunk.redirect = RedirectPolicy::Follow;
    trunk.tls.verify = false;
    trunk.targets[0].target.transport = Some(Transport::Tls);
}

fn two_trunks() -> Wire {
    let mut first = trunk("pbx");
    trusting(&mut first);
    let mut second = trunk("other");
    trusting(&mut second);
    second.targets[0].target.host = "198.51.100.7".to_owned();
    let listen = |transport: Transport| Listen {
        transport,
        address: "192.0.2.1:5060".parse().expect("address"),
    };
    Wire::with(Config {
        listen: vec![listen(Transport::Udp), listen(Transport::Tls)],
        trunks: vec![first, second],
        ..Config::default()
    })
}

/// Whatever name is looked up is at an address of nobody.
fn look_up(wire: &mut Wire) {
    while let Some(event) = wire.agent.poll_event() {
        if let UserAgentEvent::Resolve { query } = event {
            let answer = DnsResponse::Known {
                records: Records::Addresses(vec!["198.51.100.9".parse().expect("ip")]),
                ttl: Duration::from_secs(60),
            };
            wire.agent.handle_resolved(&query, answer, wire.now);
        }
    }
}

/// The next request, and on whose behalf which name must be proven to it.
fn sent_to(wire: &mut Wire) -> (Request, String, Option<usize>) {
    look_up(wire);
    let transmit = wire.agent.poll_transmit().expect("something is sent");
    let domain = transmit.domain.expect("by TLS");
    match Message::read(&transmit.bytes).expect("readable").message {
        Message::Request(request) => (request, domain.name.clone(), domain.peer),
        Message::Response(response) => panic!("{response:?}"),
    }
}

#[test]
fn nothing_of_a_trunks_tls_holds_for_whom_it_redirects_to() {
    // An unknown source, the other trunk's host, which this trunk has not to speak for, and its
    // own.
    for (host, of) in [
        ("198.51.100.9", None),
        ("elsewhere.example", None),
        ("198.51.100.7", None),
        ("192.0.2.2", Some(0)),
    ] {
        let mut wire = two_trunks();
        let outgoing = Outgoing {
            trunk: "pbx".to_owned(),
            to_user: "600".to_owned(),
            ..Outgoing::default()
        };
        wire.agent.invite(outgoing, wire.now).expect("placed");
        let (invite, _, trunk) = sent_to(&mut wire);
        assert_eq!(trunk, Some(0));
        let contact = format!("<sip:700@{host}:5061;transport=tls>");
        wire.answer(&invite, 302, "b1", &format!("Contact: {contact}\r\n"));
        assert_eq!(sent_to(&mut wire).0.method, Method::Ack);
        let (invite, name, trunk) = sent_to(&mut wire);
        assert_eq!((name.as_str(), trunk), (host, of));
        let contact = format!("Contact: {contact}\r\n");
        wire.answer_with(&invite, 200, "b2", &contact, SDP);
        // What follows in the dialog goes there alike.
        let (ack, name, trunk) = sent_to(&mut wire);
        assert_eq!(ack.method, Method::Ack);
        assert_eq!((name.as_str(), trunk), (host, of));
    }
}

/// A PBX that sends every call on to this address; gives its port.
async fn sending_on(to: String) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let port = socket.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let bytes = bytes::Bytes::copy_from_slice(&buffer[..length]);
            let Ok(Message::Request(request)) = Message::read(&bytes).map(|read| read.message)
            else {
                continue;
            };
            if request.method == Method::Invite {
                let mut moved = request.respond(302, None, Some("moved"));
                moved.headers.insert(Name::CONTACT, to.clone());
                let _ = socket.send_to(&moved.write(), from).await;
            }
        }
    });
    port
}

#[tokio::test]
async fn an_unknown_source_must_prove_itself_and_is_shown_no_certificate_of_ours() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    // Who has signed the unknown source, whether it asks for our certificate, and whether it is
    // called.
    for (signer, asks, called) in [
        (&ours, false, true),
        (&theirs, false, false),
        (&ours, true, false),
    ] {
        let (unknown_source, mut incoming) = agent("127.0.0.2", 9, |config| {
            config.tls.certificate = signer.sign("127.0.0.2");
            config.tls.authorities = ours.file();
            config.tls.client_authorities = asks.then(|| ours.file()).flatten();
            config.trunks[0].accept_from = vec!["127.0.0.0/8".parse().expect("a network")];
        })
        .await;
        let port = unknown_source.local_addresses()[0].address.port();
        let pbx = sending_on(format!("<sip:700@127.0.0.2:{port};transport=tls>")).await;
        let (caller, _unused) = agent("127.0.0.1", pbx, |config| {
            config.listen.insert(
                0,
                Listen {
                    transport: Transport::Udp,
                    address: "127.0.0.1:0".parse().expect("address"),
                },
            );
            config.tls.authorities = ours.file();
            config.tls.certificate = ours.sign("pbx.test");
            config.trunks[0].tls.certificate = ours.sign("gateway.test");
            trusting(&mut config.trunks[0]);
            config.trunks[0].targets[0].target.transport = Some(Transport::Udp);
        })
        .await;
        if called {
            let calling = tokio::spawn(async move { try_to_call(&caller).await });
            assert_eq!(next(&mut incoming).await.request_user, "700");
            calling.abort();
        } else {
            is_refused(&try_to_call(&caller).await);
        }
    }
}
