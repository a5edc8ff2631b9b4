//! URIs as the field writes them: their parts, and that any text is written back.

use proptest::prelude::*;

use super::*;

fn parts(text: &str) -> (Option<&str>, Option<&str>, Option<u16>) {
    let uri = Uri::read(text);
    (uri.user(), uri.destination_host(), uri.port())
}

#[test]
fn user_part_out_of_grammar_leaves_the_host_readable() {
    for (text, user) in [
        ("sip:*#9240@192.0.2.2:5062;transport=udp", "*#9240"),
        (
            "sip:#9#22#100#manual#x@192.0.2.2:5062",
            "#9#22#100#manual#x",
        ),
        ("sip:a|b@192.0.2.2:5062", "a|b"),
        ("sip:a:b:c@192.0.2.2:5062", "a"),
        ("sip:50%@192.0.2.2:5062", "50%"),
        ("sip:%ZZ%4@192.0.2.2:5062", "%ZZ%4"),
        (
            "sip:J\u{f6}rg M\u{fc}ller@192.0.2.2:5062",
            "J\u{f6}rg M\u{fc}ller",
        ),
        ("sip:a\"b@192.0.2.2:5062", "a\"b"),
        ("sip:a?b@192.0.2.2:5062", "a?b"),
        ("sip:bob@example.com@192.0.2.2:5062", "bob@example.com"),
        (
            "sip:+358-555;postd=pp22@192.0.2.2:5062;user=phone",
            "+358-555;postd=pp22",
        ),
        ("SIP:@192.0.2.2:5062", ""),
        ("sip:[x]@192.0.2.2:5062", "[x]"),
    ] {
        let expected = (Some(user), Some("192.0.2.2"), Some(5062));
        assert_eq!(parts(text), expected, "{text}");
    }
}

#[test]
fn host_as_the_field_writes_it_is_read() {
    for (text, host, port) in [
        ("sip:100@office_pbx.example", "office_pbx.example", None),
        ("sip:10.0.0.1.example.com", "10.0.0.1.example.com", None),
        ("sip:a@1and1.example:5060", "1and1.example", Some(5060)),
        ("sip:a@192.0.2.1:", "192.0.2.1", None),
        ("sip:a@[2001:db8::1]:", "2001:db8::1", None),
        ("sip:a@[fe80::1%eth0]:5070", "fe80::1", Some(5070)),
        ("sip:a@[fe80::1%25eth0]", "fe80::1", None),
        ("sip:a@2001:db8::9;x", "2001:db8::9", None),
        ("sip:a@pbx.example;lr;x=a@b", "pbx.example", None),
        (
            "sip:a@pbx.example?Replaces=1@b;to-tag=2",
            "pbx.example",
            None,
        ),
        ("sip:a@192.0.2.77;MADDR=192.0.2.2", "192.0.2.2", None),
        ("sip:a@pbx.example;maddr=[2001:db8::2]", "2001:db8::2", None),
        ("sip:a@pbx.example;maddr=", "pbx.example", None),
        ("sip:a@ pbx.example :5060 ;lr", "pbx.example", Some(5060)),
    ] {
        let (_, found, found_port) = parts(text);
        assert_eq!((found, found_port), (Some(host), port), "{text}");
    }
}

#[test]
fn uri_without_a_readable_destination_says_so() {
    for text in [
        "tel:+4930;phone-context=a",
        "urn:service:sos",
        "sip:",
        "sip:a@",
        "",
        "nothing",
    ] {
        assert_eq!(parts(text).1, None, "{text}");
    }
    for text in [
        "sip:a@b:99999",
        "sip:a@b:x",
        "sip:a@b:0",
        "sip:a@[::1]x",
        "sip:a@b:-1",
    ] {
        assert!(Uri::read(text).has_bad_port(), "{text}");
    }
}

#[test]
fn parameter_names_are_read_in_any_case_and_not_from_the_user_part() {
    let uri = Uri::read("sip:a;lr;transport=tls@b;TRANSPORT=\"tcp\";gr=urn:uuid:1;Lr=on");
    assert_eq!(uri.transport(), Some(Transport::Tcp));
    assert_eq!(uri.param("GR"), Some("urn:uuid:1"));
    assert!(uri.is_loose());
    assert!(!Uri::read("sip:a;lr@b").is_loose());
    assert_eq!(Uri::read("sip:a@b;transport=sctp").transport(), None);
    assert_eq!(
        Uri::read("sip:a@b;transport=ws").transport(),
        Some(Transport::Ws)
    );
    assert_eq!(
        Uri::read("sips:a@b;transport=ws").transport(),
        Some(Transport::Wss)
    );
    assert_eq!(
        Uri::read("sips:a@b;transport=tcp").transport(),
        Some(Transport::Tls)
    );
}

#[test]
fn telephone_parameters_are_those_of_the_user_part() {
    let uri = Uri::read("sip:+49301;npdi;rn=+49302@b;user=phone");
    assert_eq!(uri.user_params(), "npdi;rn=+49302");
    assert_eq!(Uri::read("tel:+49301;isub=7").user_params(), "isub=7");
    assert_eq!(Uri::read("sip:a@b;user=phone").user_params(), "");
}

proptest! {
    #[test]
    fn any_text_is_read_and_written_back(text in "\\PC{0,40}|(sips?:)?[a-z0-9@:;?%\\[\\]#|\"=. _-]{0,60}") {
        let uri = Uri::read(&text);
        prop_assert_eq!(uri.to_string(), text.clone());
        let _ = (uri.user(), uri.host(), uri.port(), uri.destination_host(), uri.transport());
        let _ = (uri.user_params(), uri.headers(), uri.is_loose(), uri.param("lr"));
    }
}
