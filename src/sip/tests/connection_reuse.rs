//! Lines that are registered by one way: they share its keep-alives, and its failure.

use super::flow_checks::{
    ELSEWHERE, HERE, OUTBOUND, SECOND, Sent, accept, check, count, leaving, sees, told,
};
use super::wire::*;
use crate::sip::*;

fn line(user: &str) -> Account {
    Account {
        user: user.to_owned(),
        registration: Registration {
            user: user.to_owned(),
            expires: 7_200,
            outbound: true,
        },
        credentials: None,
        registered: Registered::Present,
    }
}

/// The lines of alice and bob at one PBX, granted with these headers.
fn both_registered(granted: &str) -> Wire {
    let mut own = trunk("pbx");
    own.accounts = ["alice", "bob"].map(line).to_vec();
    let mut wire = Wire::new(own);
    wire.agent.start(wire.now);
    for user in ["alice", "bob"] {
        wire.agent.handle_presence(user, true, wire.now);
        accept(&mut wire, granted);
    }
    wire
}

#[test]
fn lines_that_share_a_way_share_its_checks_and_its_failure() {
    let mut wire = both_registered(OUTBOUND);
    let sent = leaving(&mut wire, 23 * SECOND);
    assert_eq!(sent, [], "one check for both");
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, ELSEWHERE);
    for _ in ["alice", "bob"] {
        accept(&mut wire, OUTBOUND);
    }
    wire.quiet();
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, ELSEWHERE);
    assert_eq!(told(&mut wire), [("failed", "moved")]);
}

#[test]
fn a_line_that_is_taken_back_leaves_the_way_open_for_the_others() {
    let mut wire = both_registered("");
    for (user, kept) in [("alice", 4), ("bob", 0)] {
        wire.agent.handle_presence(user, false, wire.now);
        leaving(&mut wire, 29 * SECOND);
        wire.advance(SECOND);
        let last = wire.sent_request("REGISTER");
        assert_eq!(value(&last.headers, "Expires"), "0");
        wire.answer(&last, 200, "r", "");
        let sent = leaving(&mut wire, 100 * SECOND);
        assert_eq!(count(&sent, &Sent::LineEnds), kept, "{user}: {sent:?}");
    }
}

#[test]
fn a_line_without_outbound_does_not_end_the_checks_of_the_others_on_its_way() {
    let mut own = trunk("pbx");
    own.accounts = ["alice", "bob"].map(line).to_vec();
    own.accounts[1].registration.outbound = false;
    let mut wire = Wire::new(own);
    wire.agent.start(wire.now);
    for (user, granted) in [("alice", OUTBOUND), ("bob", "")] {
        wire.agent.handle_presence(user, true, wire.now);
        accept(&mut wire, granted);
    }
    let (_, transaction) = check(&mut wire);
    sees(&mut wire, transaction, HERE);
    let (_, transaction) = check(&mut wire);
    // Only what does Outbound is registered anew: who asks for nothing gets nothing new.
    sees(&mut wire, transaction, ELSEWHERE);
    let register = wire.sent_request("REGISTER");
    assert!(value(&register.headers, "To").contains("alice"));
    wire.quiet();
}
