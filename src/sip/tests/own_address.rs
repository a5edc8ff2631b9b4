//! Where peers reach us: behind NAT, on IPv6, and by what the configuration says.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::{SDP, Wire, credentials, request, trunk, value};
use crate::sip::*;

fn wire(change: impl FnOnce(&mut Config)) -> Wire {
    let mut config = Config {
        listen: vec![Listen {
            transport: Transport::Udp,
            address: "192.0.2.1:5060".parse().expect("address"),
        }],
        trunks: vec![trunk("pbx")],
        ..Config::default()
    };
    change(&mut config);
    Wire::with(config)
}

/// The peer refuses a call and says where it came from.
fn refuse_seen(wire: &mut Wire, invite: &Request, seen: &str) {
    refuse_seen_by(Transport::Udp, wire, invite, seen);
}

fn refuse_seen_by(transport: Transport, wire: &mut Wire, invite: &Request, seen: &str) {
    let response = invite.respond(486, None, Some("b1"));
    let text = String::from_utf8(response.write().to_vec()).expect("text");
    let text = text.replacen(";rport;", &format!(";{seen};"), 1);
    let flow = Flow::new(transport, 0, super::wire::PEER.parse().expect("address"));
    wire.agent.handle_message(&text.into(), flow, wire.now);
    wire.sent_request("ACK");
    wire.event();
}

fn contact_of_call(wire: &mut Wire) -> (String, Request) {
    let (_, invite) = wire.call();
    (value(&invite.headers, "Contact").to_owned(), invite)
}

#[test]
fn behind_nat_the_contact_is_where_the_peer_sees_us() {
    let mut wire = wire(|_| {});
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@192.0.2.1:5060>");
    refuse_seen(&mut wire, &invite, "received=203.0.113.7;rport=40000");
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@203.0.113.7:40000>");
    // The NAT is gone.
    refuse_seen(&mut wire, &invite, "received=192.0.2.1;rport=5060");
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@192.0.2.1:5060>");
    // Nonsense teaches nothing.
    for seen in [
        "received=0.0.0.0;rport=1",
        "received=203.0.113.7",
        "received=2001:db8::7;rport=40000",
        "received=x;rport=99999",
    ] {
        refuse_seen(&mut wire, &invite, seen);
        let (contact, _) = contact_of_call(&mut wire);
        assert_eq!(contact, "<sip:alice@192.0.2.1:5060>", "{seen}");
    }
}

#[test]
fn a_stream_teaches_the_address_and_never_the_port() {
    let mut wire = wire(|config| {
        config.listen[0].transport = Transport::Tcp;
        config.trunks[0].targets[0].target.transport = Some(Transport::Tcp);
    });
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@192.0.2.1:5060;transport=tcp>");
    // The last of them comes from a peer that knows nothing of rport.
    for (seen, learned) in [
        ("received=203.0.113.7;rport=40000", "203.0.113.7:5060"),
        ("received=192.0.2.1;rport=40001", "192.0.2.1:5060"),
        ("received=203.0.113.8", "203.0.113.8:5060"),
    ] {
        refuse_seen_by(Transport::Tcp, &mut wire, &invite, seen);
        let (contact, _) = contact_of_call(&mut wire);
        assert_eq!(
            contact,
            format!("<sip:alice@{learned};transport=tcp>"),
            "{seen}"
        );
    }
}

#[test]
fn what_the_configuration_advertises_goes_before_what_peers_see() {
    let mut wire = wire(|config| config.advertised = Some("198.51.100.1".parse().expect("ip")));
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@198.51.100.1:5060>");
    assert!(value(&invite.headers, "Via").starts_with("SIP/2.0/UDP 198.51.100.1:5060"));
    refuse_seen(&mut wire, &invite, "received=203.0.113.7;rport=40000");
    assert_eq!(
        contact_of_call(&mut wire).0,
        "<sip:alice@198.51.100.1:5060>"
    );
}

#[test]
fn a_trunk_on_the_inside_is_told_the_inside_address() {
    let mut wire = wire(|config| {
        config.advertised = Some("198.51.100.1".parse().expect("ip"));
        config.trunks[0].advertised = Some("10.0.0.1".parse().expect("ip"));
    });
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@10.0.0.1:5060>");
    assert!(value(&invite.headers, "Via").starts_with("SIP/2.0/UDP 10.0.0.1:5060"));
}

#[test]
fn ipv6_has_brackets_where_the_grammar_has_them() {
    let mut wire = wire(|config| {
        config.listen[0].address = "[2001:db8::1]:5060".parse().expect("address");
        config.trunks[0].targets[0].target.host = "2001:db8::2".to_owned();
    });
    let (contact, invite) = contact_of_call(&mut wire);
    assert_eq!(contact, "<sip:alice@[2001:db8::1]:5060>");
    assert!(value(&invite.headers, "Via").starts_with("SIP/2.0/UDP [2001:db8::1]:5060;rport"));
    for seen in ["2001:db8:ffff::7", "[2001:db8:ffff::7]"] {
        refuse_seen(&mut wire, &invite, &format!("received={seen};rport=40000"));
        assert_eq!(
            contact_of_call(&mut wire).0,
            "<sip:alice@[2001:db8:ffff::7]:40000>"
        );
    }

    let peer: SocketAddr = "[2001:db8::2]:40000".parse().expect("address");
    let invite = request("INVITE", 1, "inv1", "", SDP).replace(
        "Via: SIP/2.0/UDP 192.0.2.2:5060",
        "Via: SIP/2.0/UDP [2001:db8::9]:5060",
    );
    let flow = Flow::new(Transport::Udp, 0, peer);
    wire.agent.handle_message(&invite.into(), flow, wire.now);
    while wire.agent.legs() == 0 {}
    let trying = loop {
        let transmit = wire.agent.poll_transmit().expect("answered");
        if transmit.bytes.starts_with(b"SIP/2.0 100") {
            break transmit;
        }
    };
    // To the port it came from, whatever the Via says (RFC 3581 section 4).
    assert_eq!(trying.flow.remote, peer);
    let text = String::from_utf8_lossy(&trying.bytes).into_owned();
    assert!(
        text.contains("[2001:db8::9]:5060;branch=z9hG4bKinv1;received=2001:db8::2;rport=40000"),
        "{text}"
    );
}

fn registered(flow_timer: &str, change: impl FnOnce(&mut Trunk)) -> Wire {
    let mut wire = wire(|config| {
        config.trunks[0].registration = Some(Registration {
            user: "bob".to_owned(),
            expires: 300,
            outbound: false,
        });
        config.trunks[0].credentials = credentials();
        change(&mut config.trunks[0]);
    });
    wire.agent.start(wire.now);
    let register = wire.sent_request("REGISTER");
    let contact = value(&register.headers, "Contact").to_owned();
    let extra = format!("Contact: {contact}\r\n{flow_timer}");
    wire.answer(&register, 200, "r1", &extra);
    wire
}

/// How many keep-alives leave within this time.
fn keep_alives(wire: &mut Wire, span: Duration) -> usize {
    wire.advance(span);
    let mut count = 0;
    while let Some(transmit) = wire.agent.poll_transmit() {
        if &transmit.bytes[..] == b"\r\n\r\n" {
            assert_eq!(transmit.flow.remote.to_string(), super::wire::PEER);
            count += 1;
        }
    }
    count
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_registered_udp_trunk_is_kept_open() {
    let mut wire = registered("", |_| {});
    assert_eq!(keep_alives(&mut wire, MINUTE * 2), 4);
    // Nobody refreshes it here: the registration has lapsed.
    keep_alives(&mut wire, MINUTE * 10);
    assert_eq!(keep_alives(&mut wire, MINUTE * 10), 0);
}

#[test]
fn keep_alives_are_off_where_the_trunk_wants_none() {
    let mut wire = registered("", |trunk| trunk.keep_alive = Duration::ZERO);
    assert_eq!(keep_alives(&mut wire, MINUTE * 2), 0);
}

#[test]
fn the_flow_timer_of_the_registrar_is_kept() {
    let mut wire = registered("Flow-Timer: 10\r\n", |_| {});
    assert_eq!(keep_alives(&mut wire, Duration::from_secs(30)), 3);
}
