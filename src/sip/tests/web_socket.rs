//! Trunks and WebSocket: we cannot connect out by it (RFC 7118), so that no target may be one, and a
//! peer behind it is reached by the flow that its last message came by, or not at all.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::wire::*;
use crate::sip::*;

#[test]
fn trunk_target_by_websocket_is_refused_with_its_name() {
    for (transport, named) in [(Transport::Ws, "by WS,"), (Transport::Wss, "by WSS,")] {
        let target = Target::at("192.0.2.1:80".parse().expect("an address"), transport);
        let config = config(Trunk::new("pbx", target));
        let listeners = config.listen.clone();
        let random = StdRng::seed_from_u64(1);
        let agent = UserAgent::new(config, listeners, Box::new(|_| None), random);
        let error = agent.err().expect("it cannot be called").to_string();
        assert!(
            error.contains("\"pbx\"") && error.contains(named),
            "{error}"
        );
    }
}

#[test]
fn contact_by_websocket_is_sent_to_by_the_last_flow() {
    let mut wire = Wire::new(trunk("pbx"));
    let (leg, invite) = wire.call();
    let contact = "Contact: <sip:600@df7jal23ls0d.invalid;transport=ws>\r\n\
        Content-Type: application/sdp\r\n";
    wire.answer_with(&invite, 200, "b1", contact, SDP);
    wire.sent_request("ACK");
    wire.command(leg, Command::Hangup { cause: None });
    let bye = loop {
        let transmit = wire.agent.poll_transmit().expect("a BYE is sent");
        if transmit.bytes.starts_with(b"BYE ") {
            break transmit;
        }
    };
    assert!(
        bye.bytes
            .starts_with(b"BYE sip:600@df7jal23ls0d.invalid;transport=ws SIP/2.0")
    );
    assert_eq!(bye.flow.transport, Transport::Udp);
    assert_eq!(bye.flow.remote.to_string(), PEER);
}

#[test]
fn redirection_to_a_websocket_contact_ends_the_call() {
    let mut wire = Wire::new(Trunk {
        redirect: RedirectPolicy::Follow,
        ..trunk("pbx")
    });
    let (_, invite) = wire.call();
    let contact = "Contact: <sip:601@192.0.2.9;transport=ws>\r\n";
    wire.answer(&invite, 302, "b1", contact);
    wire.sent_request("ACK");
    let refused = wire.event();
    assert!(
        matches!(refused, Some(Event::Refused { status: 503, .. })),
        "{refused:?}"
    );
    wire.quiet();
}
