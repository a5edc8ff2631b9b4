//! Requests that must prove who they are, and AKA as a client, as traces in virtual time.

use std::time::Duration;

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::wire::*;
use crate::redacted::Redacted;
use crate::sip::stack::digest::{Answer, Subject, Verdict, Verifier};
use crate::sip::stack::message::{Request, Response};
use crate::sip::*;

const SECOND: Duration = Duration::from_secs(1);

/// Another trunk's address: nobody we know.
fn elsewhere(trunk: &mut Trunk) {
    trunk.targets[0].target.host = "198.51.100.9".to_owned();
}

fn guarded() -> Trunk {
    Trunk {
        inbound: credentials(),
        ..trunk("pbx")
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn sha256(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn parameter(challenge: &str, name: &str) -> String {
    let rest = challenge.split(&format!("{name}=\"")).nth(1).expect(name);
    rest.split('"').next().expect("closed").to_owned()
}

/// The Authorization of RFC 7616 section 3.4, computed here.
fn answer(challenge: &str, password: &str, uri: &str, count: u32) -> String {
    answer_of("INVITE", challenge, password, uri, count)
}

fn answer_of(method: &str, challenge: &str, password: &str, uri: &str, count: u32) -> String {
    let (realm, nonce) = (parameter(challenge, "realm"), parameter(challenge, "nonce"));
    let strong = challenge.contains("SHA-256");
    let hash = if strong { sha256 } else { md5 };
    let one = hash(&format!("bob:{realm}:{password}"));
    let two = hash(&format!("{method}:{uri}"));
    let response = hash(&format!("{one}:{nonce}:{count:08x}:c:auth:{two}"));
    let algorithm = if strong { "SHA-256" } else { "MD5" };
    format!(
        "Authorization: Digest username=\"bob\", realm=\"{realm}\", nonce=\"{nonce}\", \
         uri=\"{uri}\", response=\"{response}\", algorithm={algorithm}, qop=auth, \
         nc={count:08x}, cnonce=\"c\"\r\n"
    )
}

const URI: &str = "sip:alice@192.0.2.1";

fn invite(branch: &str, more: &str) -> String {
    request("INVITE", 1, branch, "", SDP).replace("Max-Forwards", &format!("{more}Max-Forwards"))
}

fn challenges(response: &Response) -> Vec<String> {
    let values = response.headers.get_raw(&Name::WWW_AUTHENTICATE);
    values.map(ToString::to_string).collect()
}

#[test]
fn a_call_without_credentials_is_challenged_strongest_first_and_costs_no_state() {
    let mut wire = Wire::new(guarded());
    wire.receive(&invite("i1", ""));
    let first = wire.sent_status(401);
    let offered = challenges(&first);
    assert!(offered[0].contains("algorithm=SHA-256") && offered[1].contains("algorithm=MD5"));
    assert!(
        offered
            .iter()
            .all(|c| parameter(c, "realm") == "pbx.example")
    );
    assert_eq!(wire.agent.transactions(), 0);
    assert_eq!(wire.agent.poll_timeout(), None);
    // The same request again gets the same tag (RFC 3261 section 8.2.7).
    wire.receive(&invite("i1", ""));
    assert_eq!(tag_of(&wire.sent_status(401)), tag_of(&first));
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn a_right_answer_by_either_algorithm_is_let_in_once() {
    for which in [0, 1] {
        let mut wire = Wire::new(guarded());
        wire.receive(&invite("i1", ""));
        let challenge = challenges(&wire.sent_status(401)).swap_remove(which);
        let right = answer(&challenge, "zanzibar", URI, 1);
        wire.receive(&invite("i2", &right));
        wire.sent_status(100);
        assert_eq!(wire.incoming().trunk.as_deref(), Some("pbx"));
        // Replayed in another request it is stale; the next count is right.
        let other = |branch, more: &str| invite(branch, more).replace("call-1@", "call-2@");
        wire.receive(&other("i3", &right));
        assert!(challenges(&wire.sent_status(401))[0].contains("stale=true"));
        wire.receive(&other("i4", &answer(&challenge, "zanzibar", URI, 2)));
        wire.sent_status(100);
    }
}

#[test]
fn a_nonce_of_more_than_five_minutes_is_stale_for_the_right_password_only() {
    let mut wire = Wire::new(guarded());
    wire.receive(&invite("i1", ""));
    let challenge = challenges(&wire.sent_status(401)).swap_remove(0);
    wire.advance(301 * SECOND);
    wire.receive(&invite("i2", &answer(&challenge, "guess", URI, 1)));
    assert!(!challenges(&wire.sent_status(401))[0].contains("stale"));
    wire.receive(&invite("i3", &answer(&challenge, "zanzibar", URI, 1)));
    assert!(challenges(&wire.sent_status(401))[0].contains("stale=true"));
}

#[test]
fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let mut wire = Wire::new(guarded());
    wire.receive(&invite("i1", ""));
    let challenge = challenges(&wire.sent_status(401)).swap_remove(0);
    let wrong = answer(&challenge, "guess", URI, 1);
    let unknown = wrong.replace("username=\"bob\"", "username=\"eve\"");
    let forged = wrong.replace(&parameter(&challenge, "nonce"), &"A".repeat(32));
    let answers = [wrong, unknown, forged].map(|more| {
        wire.receive(&invite("i2", &more));
        let mut response = wire.sent_status(401);
        response.headers.remove(&Name::WWW_AUTHENTICATE);
        response.write()
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(wire.agent.legs(), 0);
}

#[test]
fn a_text_must_prove_who_it_is_from_where_a_call_must() {
    let mut own = guarded();
    elsewhere(&mut own);
    let mut wire = Wire::new(own);
    let text = |branch: &str, more: &str| {
        let text = request("MESSAGE", 1, branch, "", "hello");
        text.replace("application/sdp", "text/plain")
            .replace("Max-Forwards", &format!("{more}Max-Forwards"))
    };
    let arrived = |wire: &mut Wire| {
        std::iter::from_fn(|| wire.agent.poll_event()).find_map(|event| match event {
            UserAgentEvent::Message(message) => Some(*message),
            _ => None,
        })
    };
    let filled = format!("Subject: {}\r\n", "-".repeat(400));
    wire.receive(&text("m1", &filled));
    let challenge = challenges(&wire.sent_status(401)).swap_remove(0);
    assert!(arrived(&mut wire).is_none());
    let wrong = answer_of("MESSAGE", &challenge, "opensesame", URI, 1);
    wire.receive(&text("m2", &wrong));
    wire.sent_status(401);
    assert!(arrived(&mut wire).is_none());
    let right = answer_of("MESSAGE", &challenge, "zanzibar", URI, 1);
    wire.receive(&text("m3", &right));
    let message = arrived(&mut wire).expect("it is proven");
    assert_eq!(message.trunk.as_deref(), Some("pbx"));
}

#[test]
fn a_trunk_at_an_address_nobody_knows_is_known_by_its_credentials() {
    let mut own = guarded();
    elsewhere(&mut own);
    let mut wire = Wire::new(own);
    // As long as a real one.
    let filled = format!("Subject: {}\r\n", "-".repeat(400));
    wire.receive(&invite("i1", &filled));
    let challenge = challenges(&wire.sent_status(401)).swap_remove(0);
    wire.receive(&invite("i2", &answer(&challenge, "zanzibar", URI, 1)));
    wire.sent_status(100);
    assert_eq!(wire.incoming().trunk.as_deref(), Some("pbx"));
    // An answer larger than the request would serve a forger.
    let small = request("INVITE", 1, "i3", "", "").replace("call-1@pbx", "2");
    wire.receive(&small);
    wire.quiet();
}

#[test]
fn an_unguarded_trunk_and_options_are_asked_nothing() {
    let mut wire = Wire::new(trunk("pbx"));
    wire.receive(&invite("i1", ""));
    wire.sent_status(100);
    let mut wire = Wire::new(guarded());
    wire.receive(&request("OPTIONS", 1, "o1", "", ""));
    wire.sent_status(200);
}

#[test]
fn what_right_answers_leave_behind_is_bounded_and_a_forgotten_nonce_is_stale() {
    let own = credentials().expect("given");
    let now = Wire::new(trunk("pbx")).now;
    let mut verifier = Verifier::new([7; 32]);
    let subject = Subject {
        method: "INVITE",
        uri: URI,
        body: b"",
    };
    let take = |verifier: &mut Verifier, challenge: &str, count| {
        let header = answer(challenge, "zanzibar", URI, count);
        let value = header.split_once(": ").expect("a header").1;
        let answer = Answer::read(value.trim()).expect("readable");
        verifier.check(&answer, Some(&own), subject, now)
    };
    let [_, first] = verifier.challenge("r", false, now);
    assert_eq!(take(&mut verifier, &first, 3), Verdict::Right);
    // Out of order is no replay; twice is.
    assert_eq!(take(&mut verifier, &first, 1), Verdict::Right);
    assert_eq!(take(&mut verifier, &first, 1), Verdict::Stale);
    for _ in 0..17_000 {
        let [_, challenge] = verifier.challenge("r", false, now);
        assert_eq!(take(&mut verifier, &challenge, 1), Verdict::Right);
    }
    assert!(verifier.remembered() <= 16_384);
    assert_eq!(take(&mut verifier, &first, 9), Verdict::Stale);
}

fn keyed() -> Trunk {
    let bytes = |text: &str| {
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal");
        }
        Redacted::new(bytes)
    };
    Trunk {
        credentials: Some(Credentials {
            username: "bob@ims.example".to_owned(),
            password: Redacted::default(),
        }),
        aka: Some(Aka {
            key: bytes("465b5ce8b199b49faa5f0a2ee238a6bc"),
            op: None,
            opc: Some(bytes("cd63cb71954a9f4e48a5994e37a02baf")),
            field: [0xb9, 0xb9],
        }),
        registration: Some(Registration {
            user: "bob".to_owned(),
            expires: 300,
            outbound: false,
        }),
        // Only the registration's own timers run.
        keep_alive: Duration::ZERO,
        ..trunk("pbx")
    }
}

/// RAND and AUTN of test set 1 of 3GPP TS 35.208, in base64.
const NONCE: &str = "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d7m5Sp/6w1Tfr7M=";

fn challenged(wire: &mut Wire, register: &Request) {
    let challenge = format!(
        "WWW-Authenticate: Digest realm=\"ims.example\", nonce=\"{NONCE}\", \
         algorithm=AKAv1-MD5, qop=\"auth\"\r\n"
    );
    wire.answer(register, 401, "r", &challenge);
}

#[test]
fn a_trunk_with_a_key_registers_by_aka_and_puts_its_sequence_right_once() {
    let mut wire = Wire::new(keyed());
    wire.agent.start(wire.now);
    let first = wire.sent_request("REGISTER");
    let asks = value(&first.headers, "Authorization");
    assert!(asks.contains("username=\"bob@ims.example\"") && asks.contains("nonce=\"\""));
    challenged(&mut wire, &first);
    let second = wire.sent_request("REGISTER");
    let proof = value(&second.headers, "Authorization").to_owned();
    assert!(proof.contains("algorithm=AKAv1-MD5"), "{proof}");
    // The password of RFC 3310 section 3.3 is RES, as bytes: a54211d5e3ba50bf.
    let secret = [
        &b"bob@ims.example:ims.example:"[..],
        &[0xa5, 0x42, 0x11, 0xd5, 0xe3, 0xba, 0x50, 0xbf],
    ]
    .concat();
    let one: String = Md5::digest(secret)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let two = md5(&format!("REGISTER:{}", second.uri));
    let client = parameter(&proof, "cnonce");
    let wanted = md5(&format!("{one}:{NONCE}:00000001:{client}:auth:{two}"));
    assert_eq!(parameter(&proof, "response"), wanted);
    wire.answer(&second, 200, "r", "");

    // The network repeats itself: its sequence number is out of range.
    let early = wire.agent.poll_timeout().expect("timer K") - wire.now;
    wire.advance(early);
    let next = wire.agent.poll_timeout().expect("a refresh") - wire.now;
    wire.advance(next);
    let refresh = wire.sent_request("REGISTER");
    challenged(&mut wire, &refresh);
    let resynchronisation = wire.sent_request("REGISTER");
    let proof = value(&resynchronisation.headers, "Authorization").to_owned();
    assert_eq!(parameter(&proof, "auts"), "uoU/PBI8Ac+vnsTocek=");
    challenged(&mut wire, &resynchronisation);
    wire.quiet();
    let status = wire.agent.registrations().swap_remove(0);
    assert_eq!(status.state, RegistrationState::Failed { status: 401 });
}
