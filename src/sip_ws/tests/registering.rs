//! REGISTER: digest, bindings, expiry, and what is refused.

use std::time::Duration;

use super::setup::{
    CHALLENGES, CONTACT, DELAY, RIGHT, SIGN_IN_WITHIN, Setup, TOO_MANY, WRONG, value,
};
use crate::sip::stack::message::{Message, Name};

fn bind() -> String {
    format!("Contact: {CONTACT}\r\nExpires: 600\r\n")
}

#[test]
fn register_without_credentials_is_challenged_md5_last() {
    let mut setup = Setup::new();
    setup.register(&bind());
    let response = setup.response();
    assert_eq!(response.status, 401);
    let challenges: Vec<_> = response.headers.get_raw(&Name::WWW_AUTHENTICATE).collect();
    assert_eq!(challenges, CHALLENGES);
    assert_eq!(response.headers.get_raw(&Name::VIA).count(), 1);
}

#[test]
fn binding_is_told_with_instance_reg_id_and_expires() {
    let mut setup = Setup::new();
    setup.register(&format!("{}{RIGHT}", bind()));
    let response = setup.response();
    assert_eq!(response.status, 200);
    assert_eq!(
        value(&response.headers, &Name::CONTACT),
        "<sip:k3v2@8fj2.invalid;transport=ws>;+sip.instance=\"<urn:uuid:6d1f>\";reg-id=1;expires=600"
    );
    assert_eq!(value(&response.headers, &Name::REQUIRE), "outbound");
}

#[test]
fn refresh_by_the_same_connection_is_not_challenged() {
    let mut setup = Setup::registered();
    setup.pass(Duration::from_secs(590));
    setup.register(&bind());
    assert_eq!(setup.response().status, 200);
    assert!(setup.expired.is_empty());
}

#[test]
fn binding_ends_after_its_time_and_a_grace() {
    let mut setup = Setup::registered();
    setup.pass(Duration::from_secs(629));
    assert!(setup.expired.is_empty());
    setup.pass(Duration::from_secs(1));
    assert_eq!(setup.expired, ["alice"]);
}

#[test]
fn client_without_instance_is_bound_by_its_connection() {
    let mut setup = Setup::new();
    let contact = "Contact: <sip:abc@x.invalid;transport=ws>;expires=300\r\n";
    setup.register(&format!("{contact}{RIGHT}"));
    let response = setup.response();
    assert_eq!(
        value(&response.headers, &Name::CONTACT),
        "<sip:abc@x.invalid;transport=ws>;expires=300"
    );
    assert!(!response.headers.contains(&Name::REQUIRE));
    setup.register("Contact: <sip:abc@x.invalid;transport=ws>;expires=0\r\n");
    let response = setup.response();
    assert_eq!(response.status, 200);
    assert!(!response.headers.contains(&Name::CONTACT));
    setup.pass(Duration::from_secs(900));
    assert!(setup.expired.is_empty(), "there was none left to expire");
}

#[test]
fn all_bindings_end_by_a_star() {
    let mut setup = Setup::registered();
    setup.register("Contact: *\r\nExpires: 0\r\n");
    let response = setup.response();
    assert_eq!(response.status, 200);
    assert!(!response.headers.contains(&Name::CONTACT));
    setup.register("Contact: *\r\nExpires: 600\r\n");
    assert_eq!(setup.response().status, 400);
}

#[test]
fn interval_is_at_least_a_minute_and_at_most_an_hour() {
    let mut setup = Setup::new();
    setup.register(&format!("Contact: <sip:a@b.invalid>;expires=59\r\n{RIGHT}"));
    let response = setup.response();
    assert_eq!(response.status, 423);
    assert_eq!(value(&response.headers, &Name::MIN_EXPIRES), "60");
    setup.register(&format!(
        "Contact: <sip:a@b.invalid>\r\nExpires: 86400\r\n{RIGHT}"
    ));
    let response = setup.response();
    assert!(value(&response.headers, &Name::CONTACT).ends_with(";expires=3600"));
}

#[test]
fn address_of_record_of_another_user_is_forbidden() {
    let mut setup = Setup::new();
    setup.register_as("bob", &format!("{}{RIGHT}", bind()));
    assert_eq!(setup.response().status, 403);
    // And once the connection is alice's.
    setup.register(&format!("{}{RIGHT}", bind()));
    assert_eq!(setup.response().status, 200);
    setup.register_as("bob", &format!("{}Authorization: bob\r\n", bind()));
    assert_eq!(setup.response().status, 403);
    assert_eq!(setup.bindings.of("bob", setup.now), []);
}

#[test]
fn wrong_password_is_answered_late_and_others_meanwhile_not() {
    let mut setup = Setup::new();
    setup.register(&format!("{}{WRONG}", bind()));
    setup.is_silent();
    setup.register(&format!("{}{RIGHT}", bind()));
    assert_eq!(setup.response().status, 403, "not looked at");
    setup.pass(DELAY);
    assert_eq!(setup.response().status, 401);
    setup.register(&format!("{}{RIGHT}", bind()));
    assert_eq!(setup.response().status, 200);
}

#[test]
fn too_many_attempts_are_refused_with_their_wait() {
    let mut setup = Setup::new();
    setup.register(&format!("{}{TOO_MANY}", bind()));
    let response = setup.response();
    assert_eq!(response.status, 403);
    assert_eq!(value(&response.headers, &Name::RETRY_AFTER), "30");
}

#[test]
fn two_contacts_and_unreadable_ones_are_refused() {
    let mut setup = Setup::new();
    for contact in ["<sip:a@b>, <sip:c@d>", "nonsense", "*"] {
        setup.register(&format!("Contact: {contact}\r\n{RIGHT}"));
        assert_eq!(setup.response().status, 400, "{contact}");
    }
}

#[test]
fn double_crlf_is_answered_and_a_single_one_not() {
    let mut setup = Setup::new();
    setup.say("\r\n");
    setup.is_silent();
    setup.say("\r\n\r\n");
    assert!(matches!(setup.message(), Message::Request(pong) if pong.method.as_str() == "CRLF"));
}

#[test]
fn unknown_and_unserved_methods_are_told_what_is_allowed() {
    let mut setup = Setup::registered();
    for (method, status) in [("MESSAGE", 405), ("SUBSCRIBE", 405), ("DANCE", 501)] {
        setup.say(&format!(
            "{method} sip:bob@pbx.example SIP/2.0\r\n\
             Via: SIP/2.0/WS 8fj2.invalid;branch=z9hG4bKm\r\nMax-Forwards: 69\r\n\
             To: <sip:bob@pbx.example>\r\nFrom: <sip:alice@pbx.example>;tag=m\r\n\
             Call-ID: m\r\nCSeq: 1 {method}\r\n\r\n"
        ));
        let response = setup.response();
        assert_eq!(response.status, status, "{method}");
        assert!(value(&response.headers, &Name::ALLOW).contains("INVITE"));
    }
}

#[test]
fn client_without_credentials_is_closed_whatever_it_says() {
    let mut setup = Setup::new();
    for _ in 0..9 {
        setup.pass(Duration::from_secs(1));
        setup.say("\r\n\r\n");
        setup.register(&bind());
        setup.say(
            "OPTIONS sip:pbx.example SIP/2.0\r\n\
             Via: SIP/2.0/WS 8fj2.invalid;branch=z9hG4bKo\r\nMax-Forwards: 69\r\n\
             To: <sip:pbx.example>\r\nFrom: <sip:alice@pbx.example>;tag=o\r\n\
             Call-ID: o\r\nCSeq: 1 OPTIONS\r\n\r\n",
        );
        assert!(!setup.is_closed);
    }
    setup.pass(Duration::from_secs(1));
    assert!(setup.is_closed);
}

#[test]
fn client_whose_user_is_known_is_not_closed() {
    let mut setup = Setup::registered();
    setup.pass(SIGN_IN_WITHIN * 2);
    assert!(!setup.is_closed);
}

#[test]
fn time_of_a_refusal_held_back_is_not_the_clients() {
    let mut setup = Setup::new();
    setup.pass(Duration::from_secs(9));
    setup.register(&format!("{}{WRONG}", bind()));
    setup.pass(DELAY);
    assert_eq!(setup.response().status, 401);
    setup.pass(SIGN_IN_WITHIN - Duration::from_millis(1));
    assert!(!setup.is_closed);
    setup.pass(Duration::from_millis(1));
    assert!(setup.is_closed);
}
