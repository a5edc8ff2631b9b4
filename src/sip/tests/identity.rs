//! Who calls: headers written for each policy, and callers read from what trunks write.

use super::wire::*;
use crate::sip::trunk::identity::{Caller, Diversion};
use crate::sip::*;

fn with(policy: IdentityPolicy) -> Wire {
    Wire::new(Trunk {
        identity: policy,
        ..trunk("pbx")
    })
}

fn trusting() -> IdentityPolicy {
    IdentityPolicy {
        trusted: true,
        ..IdentityPolicy::default()
    }
}

fn call(wire: &mut Wire, anonymous: bool) -> crate::sip::stack::message::Request {
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "+4930123".to_owned(),
        from_name: Some("Jürgen \"J\" \\".to_owned()),
        anonymous,
        ..Outgoing::default()
    };
    wire.agent.invite(outgoing, wire.now).expect("placed");
    wire.sent_request("INVITE")
}

/// The caller and the diversion of an INVITE with these headers and this From.
fn read(policy: &IdentityPolicy, from: &str, extra: &str) -> (Caller, Option<Diversion>) {
    let mut wire = with(policy.clone());
    let text = request("INVITE", 1, "inv1", "", SDP)
        .replace("\"Bob\" <sip:bob@pbx.example>", from)
        .replace("Contact:", &format!("{extra}Contact:"));
    wire.receive(&text);
    let incoming = wire.incoming();
    let caller = Caller {
        user: incoming.from_user,
        name: incoming.from_name,
    };
    (caller, incoming.diverted)
}

fn caller(user: &str, name: Option<&str>) -> Caller {
    Caller {
        user: user.to_owned(),
        name: name.map(str::to_owned),
    }
}

#[test]
fn each_policy_writes_its_own_header() {
    let identity = "\"Jürgen \\\"J\\\" \\\\\" <sip:+4930123@pbx.example>";
    let rpid = format!("{identity};party=calling;screen=yes;privacy=off");
    for (carried_by, header, expected) in [
        (CarriedBy::Asserted, "P-Asserted-Identity", identity),
        (CarriedBy::Preferred, "P-Preferred-Identity", identity),
        (CarriedBy::RemoteParty, "Remote-Party-ID", rpid.as_str()),
        (CarriedBy::From, "P-Asserted-Identity", ""),
    ] {
        let mut wire = with(IdentityPolicy {
            carried_by,
            ..IdentityPolicy::default()
        });
        let invite = call(&mut wire, false);
        assert_eq!(value(&invite.headers, header), expected);
        assert_eq!(value(&invite.headers, "Privacy"), "");
        assert!(value(&invite.headers, "From").starts_with(&format!("{identity};tag=")));
    }
}

#[test]
fn an_anonymous_call_says_who_it_is_from_to_a_trusted_trunk_only() {
    for trusted in [false, true] {
        for carried_by in [
            CarriedBy::From,
            CarriedBy::Asserted,
            CarriedBy::Preferred,
            CarriedBy::RemoteParty,
        ] {
            let mut wire = with(IdentityPolicy {
                carried_by,
                trusted,
                ..IdentityPolicy::default()
            });
            let invite = call(&mut wire, true);
            assert!(
                value(&invite.headers, "From")
                    .starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=")
            );
            assert_eq!(value(&invite.headers, "Privacy"), "id");
            let written = String::from_utf8(invite.write().to_vec()).expect("text");
            let told = trusted && carried_by != CarriedBy::From;
            assert_eq!(written.contains("4930123"), told, "{written}");
            assert_eq!(written.contains("rgen"), told, "{written}");
        }
    }
}

#[test]
fn an_untrusted_trunk_is_taken_by_its_from_alone() {
    let asserted = "P-Asserted-Identity: <sip:1@a>\r\nRemote-Party-ID: <sip:2@a>\r\n";
    let untrusted = IdentityPolicy::default();
    let (who, _) = read(&untrusted, "\"B \\\"é\" <sip:bob@pbx.example>", asserted);
    assert_eq!(who, caller("bob", Some("B \"é")));
    let private = format!("{asserted}Privacy: id\r\n");
    assert_eq!(read(&untrusted, "<sip:bob@a>", &private).0.user, "bob");
    let user = format!("{asserted}Privacy: user;critical\r\n");
    assert_eq!(
        read(&untrusted, "<sip:bob@a>", &user).0,
        caller("anonymous", None)
    );
}

#[test]
fn a_trusted_trunk_is_taken_by_what_it_asserts() {
    let from = "<sip:bob@pbx.example>";
    let rpid = "Remote-Party-ID: \"R\" <sip:2@a>;party=calling;privacy=off\r\n";
    let both = format!(
        "P-Asserted-Identity: \"P\" <sip:1@a>, <tel:+1-201-555-0123;phone-context=x>\r\n{rpid}"
    );
    for (extra, expected) in [
        (both.clone(), caller("+12015550123", Some("P"))),
        (rpid.to_owned(), caller("2", Some("R"))),
        (
            "Remote-Party-ID: \"R\" <sip:2@a>;privacy=full\r\n".to_owned(),
            caller("anonymous", None),
        ),
        (
            "Remote-Party-ID: \"R\" <sip:2@a>;privacy=name\r\n".to_owned(),
            caller("2", None),
        ),
        (
            "Remote-Party-ID: \"R\" <sip:2@a>;party=called\r\n".to_owned(),
            caller("bob", None),
        ),
        (format!("{both}Privacy: id\r\n"), caller("anonymous", None)),
        (
            format!("{both}Privacy: header; ID\r\n"),
            caller("anonymous", None),
        ),
        (
            format!("{both}Privacy: none\r\n"),
            caller("+12015550123", Some("P")),
        ),
        (
            "P-Asserted-Identity: garbage\r\n".to_owned(),
            caller("bob", None),
        ),
        (String::new(), caller("bob", None)),
    ] {
        assert_eq!(read(&trusting(), from, &extra).0, expected, "{extra}");
    }
}

#[test]
fn from_is_read_as_number_tel_uri_or_anonymous() {
    let policy = IdentityPolicy::default();
    for (from, expected) in [
        ("<tel:+49-30(1).23>", caller("+4930123", None)),
        (
            "Zed <sip:+4930123;npdi=yes@a;user=phone>",
            caller("+4930123", Some("Zed")),
        ),
        (
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
            caller("anonymous", None),
        ),
        ("<sip:Anonymous@pbx.example>", caller("anonymous", None)),
        ("<sip:a;b@pbx.example>", caller("a;b", None)),
    ] {
        assert_eq!(read(&policy, from, "").0, expected, "{from}");
    }
}

#[test]
fn diversions_name_who_sent_the_call_on_and_why() {
    let diversion = |from: &str, reason: &str| {
        Some(Diversion {
            from: from.to_owned(),
            reason: reason.to_owned(),
        })
    };
    let history = "History-Info: <sip:100@a>;index=1, \
         <sip:200@a?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1, <sip:300@a>;index=1.2;mp=1.1\r\n";
    for (extra, expected) in [
        (
            "Diversion: \"X\" <sip:+49%34@a>;reason=user-busy;counter=1, <sip:9@a>;reason=away\r\n",
            diversion("+494", "user-busy"),
        ),
        (
            "Diversion: <tel:+1-2>;reason=\"No-Answer\"\r\n",
            diversion("+12", "no-answer"),
        ),
        (
            "Diversion: <sip:1@a>;privacy=full;reason=\"x y\"\r\n",
            diversion("anonymous", "unknown"),
        ),
        (history, diversion("200", "user-busy")),
        (
            "History-Info: <sip:100@a>;index=1, <sip:200@a;cause=408>;index=1.1;mp=1\r\n",
            diversion("100", "no-answer"),
        ),
        (
            "History-Info: <sip:1@a?Privacy=history&Reason=SIP%3Bcause%3D302>;index=1,\
             <sip:2@a>;index=1.1\r\n",
            diversion("anonymous", "unconditional"),
        ),
        (
            "History-Info: <sip:100@a>;index=1, <sip:200@a>;index=1.1\r\n",
            None,
        ),
        ("History-Info: <sip:100@a>;index=1;mp=9\r\n", None),
        ("Diversion: ;;;\r\n", None),
    ] {
        let (_, diverted) = read(&IdentityPolicy::default(), "<sip:bob@a>", extra);
        assert_eq!(diverted, expected, "{extra}");
    }
}

#[test]
fn only_listed_headers_reach_the_owner_and_within_bounds() {
    let mut wire = with(IdentityPolicy {
        passed_headers: vec!["X-Account".to_owned(), "X-Long".to_owned()],
        ..IdentityPolicy::default()
    });
    let extra = format!(
        "x-account: 7\r\nX-Secret: 1\r\nX-Long: {}\r\nX-Account: 8\r\nContact:",
        "x".repeat(1_025)
    );
    let text = request("INVITE", 1, "inv1", "", SDP).replace("Contact:", &extra);
    wire.receive(&text);
    assert_eq!(
        wire.incoming().headers,
        [("X-Account".to_owned(), "7, 8".to_owned())]
    );
}
