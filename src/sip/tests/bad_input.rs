//! Peers that misbehave: each trace has another call beside it, which goes on unharmed.

use std::time::Duration;

use super::wire::*;
use crate::sip::stack::framing::{Frame, Framer, FramingError};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// An answered call beside whatever happens.
struct Witness {
    leg: LegId,
    tag: String,
    sequence: u32,
}

impl Witness {
    fn new(wire: &mut Wire) -> Self {
        let (leg, tag) = wire.answered_incoming();
        wire.rejections();
        Witness {
            leg,
            tag,
            sequence: 2,
        }
    }

    /// The call still answers within its dialog.
    #[track_caller]
    fn is_well(&mut self, wire: &mut Wire) {
        self.sequence += 1;
        let branch = format!("witness{}", self.sequence);
        wire.receive(&request("INFO", self.sequence, &branch, &self.tag, ""));
        wire.sent_status(200);
        assert!(wire.agent.has_leg(self.leg));
    }

    #[track_caller]
    fn ends_well(mut self, wire: &mut Wire) {
        self.is_well(wire);
        wire.rejections();
        wire.command(self.leg, Command::Hangup { cause: None });
        let bye = wire.sent_request("BYE");
        wire.answer(&bye, 200, "", "");
        wire.advance(40 * SECOND);
        assert_eq!((wire.agent.legs(), wire.agent.transactions()), (0, 0));
    }
}

fn other_call(method: &str, sequence: u32, branch: &str) -> String {
    request(
        method,
        sequence,
        branch,
        "",
        if method == "INVITE" { SDP } else { "" },
    )
    .replace("call-1@pbx", "other@pbx")
}

#[test]
fn a_flood_of_cancels_ends_only_the_call_that_it_names() {
    let mut wire = Wire::new(trunk("pbx"));
    let mut witness = Witness::new(&mut wire);
    for number in 0..5_000 {
        // Of nothing; of the answered call's INVITE by branch, but of another call.
        let branch = if number % 2 == 0 {
            "inv1".to_owned()
        } else {
            format!("c{number}")
        };
        let text = other_call("CANCEL", 1, &branch).replace("other", &format!("o{number}"));
        wire.receive(&text);
        if number % 2 == 1 || number == 0 {
            wire.sent_status(481);
        } else {
            // The branch stands for the first of them: a reused one is refused as such.
            wire.sent_status(400);
        }
        if number % 500 == 0 {
            witness.is_well(&mut wire);
        }
    }
    // Each CANCEL is remembered for timer J only.
    assert!(
        wire.agent.transactions() < 2_600,
        "{}",
        wire.agent.transactions()
    );
    wire.advance(33 * SECOND);
    assert!(
        wire.agent.transactions() < 3,
        "{}",
        wire.agent.transactions()
    );
    // A CANCEL of its own INVITE after the answer has no effect either.
    wire.receive(&request("CANCEL", 1, "inv1", "", ""));
    witness.is_well_after_any_answer(&mut wire);
    witness.ends_well(&mut wire);
}

impl Witness {
    #[track_caller]
    fn is_well_after_any_answer(&mut self, wire: &mut Wire) {
        assert!(wire.sent().is_some());
        self.is_well(wire);
    }
}

#[test]
fn a_branch_reused_for_another_call_touches_neither() {
    let mut wire = Wire::new(trunk("pbx"));
    let mut witness = Witness::new(&mut wire);
    wire.receive(&other_call("INVITE", 1, "again"));
    wire.sent_status(100);
    let incoming = wire.incoming();
    // The same branch with another Call-ID, and with another caller.
    for text in [
        other_call("INVITE", 1, "again").replace("other@pbx", "third@pbx"),
        other_call("INVITE", 1, "again").replace("tag=bt", "tag=ct"),
    ] {
        wire.receive(&text);
        wire.sent_status(400);
        assert_eq!(wire.rejections(), ["branch_reused"]);
    }
    assert_eq!(wire.agent.legs(), 2);
    let busy = Command::Reject {
        status: 486,
        reason: None,
        warning: None,
    };
    wire.command(incoming.leg, busy);
    let refused = wire.sent_status(486);
    // The ACK of the 400 carries the same branch: it does not confirm our 486.
    let stray = request("ACK", 1, "again", "x", "").replace("call-1@pbx", "third@pbx");
    wire.receive(&stray);
    wire.advance(Duration::from_millis(600));
    wire.sent_status(486);
    let ours = request("ACK", 1, "again", &tag_of(&refused), "").replace("call-1@pbx", "other@pbx");
    wire.receive(&ours);
    wire.advance(5 * SECOND);
    wire.quiet();
    witness.is_well(&mut wire);
    witness.ends_well(&mut wire);
}

#[test]
fn a_looped_request_ends_by_482_or_483() {
    let mut wire = Wire::new(trunk("pbx"));
    let witness = Witness::new(&mut wire);
    wire.receive(&other_call("INVITE", 1, "first"));
    wire.sent_status(100);
    // Back by another way, with Vias on top and Max-Forwards counted down.
    for hop in (0..70).rev() {
        let via = format!("Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKhop{hop}\r\nVia: SIP/2.0");
        let text = other_call("INVITE", 1, "first")
            .replacen("Via: SIP/2.0", &via, 1)
            .replace("Max-Forwards: 70", &format!("Max-Forwards: {hop}"));
        wire.receive(&text);
        wire.sent_status(if hop == 0 { 483 } else { 482 });
    }
    assert_eq!(wire.agent.legs(), 2);
    let refusal = Command::Reject {
        status: 480,
        reason: None,
        warning: None,
    };
    let incoming = wire.incoming();
    wire.command(incoming.leg, refusal);
    wire.advance(40 * SECOND);
    while wire.sent().is_some() {}
    witness.ends_well(&mut wire);
}

#[test]
fn a_datagram_that_lies_in_content_length_is_refused_and_forgotten() {
    let mut wire = Wire::new(trunk("pbx"));
    let mut witness = Witness::new(&mut wire);
    let text = other_call("INVITE", 1, "lie");
    let length = format!("Content-Length: {}", SDP.len());
    for lie in [
        "Content-Length: 9999",
        "Content-Length: -1",
        "Content-Length: 4294967296",
    ] {
        wire.receive(&text.replace(&length, lie));
        wire.sent_status(400);
        assert_eq!(wire.agent.legs(), 1);
    }
    // Shorter than what is there: the rest of the datagram is not of the message.
    wire.receive(&text.replace(&length, "Content-Length: 0"));
    wire.sent_status(100);
    let incoming = wire.incoming();
    assert_eq!(incoming.body, None);
    let refusal = Command::Reject {
        status: 480,
        reason: None,
        warning: None,
    };
    wire.command(incoming.leg, refusal);
    wire.advance(40 * SECOND);
    while wire.sent().is_some() {}
    witness.is_well(&mut wire);
    witness.ends_well(&mut wire);
}

#[test]
fn half_a_message_for_ever_holds_no_more_than_the_limit() {
    // A head without end, and a body that never comes: what is held stays within the limits.
    let mut framer = Framer::new(4_096);
    let mut sent = 0;
    let ended = loop {
        framer.push(b"X-Half: and more of it\r\n");
        sent += 24;
        match framer.poll() {
            Ok(None) => assert!(sent < 8_192),
            Ok(Some(frame)) => panic!("{frame:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(ended, FramingError::HeadTooLong(4_096));
    let mut framer = Framer::new(4_096);
    framer.push(b"INVITE sip:a SIP/2.0\r\nContent-Length: 4096\r\n\r\n");
    for _ in 0..4_095 {
        framer.push(b"x");
        assert_eq!(framer.poll(), Ok(None));
    }
    framer.push(b"x");
    assert!(matches!(framer.poll(), Ok(Some(Frame::Message(_)))));
}

#[test]
fn noise_between_calls_poisons_nothing() {
    let mut wire = Wire::new(trunk("pbx"));
    let mut witness = Witness::new(&mut wire);
    let mut noise: Vec<Vec<u8>> = (0..=255_u8).map(|byte| vec![byte; 1_400]).collect();
    noise.push(b"INVITE".to_vec());
    noise.push(b"SIP/2.0 200".to_vec());
    noise.push(b"INVITE sip:a SIP/2.0\r\n: x\r\n\r\n".to_vec());
    noise.push(vec![0xff; 65_507]);
    for bytes in &noise {
        wire.receive_bytes(bytes);
        wire.quiet();
    }
    let counted = wire.rejections().len();
    assert_eq!(counted, noise.len());
    witness.is_well(&mut wire);
    witness.ends_well(&mut wire);
}
