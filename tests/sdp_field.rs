//! Descriptions as the field writes them: nothing that is not the audio section costs a call, what
//! is wrong in the audio section is refused and not guessed.

use std::net::SocketAddr;

use proptest::prelude::*;

use trunkline::codec::{Codec, Direction};
use trunkline::sdp::{
    Answer, Error, LocalOffer, Offer, PbxOffer, RtpFamilies, SessionIds, TrunkPolicy, offer_answer,
};

const SESSION: SessionIds = SessionIds { id: 7, version: 1 };

const GOOD: &str = "v=0\r\no=pbx 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn local() -> SocketAddr {
    address("198.51.100.7:20000")
}

fn our_offer() -> LocalOffer {
    offer_answer::offer(
        local(),
        &TrunkPolicy::default(),
        SESSION,
        Direction::SendRecv,
    )
}

fn read_offer(text: impl AsRef<[u8]>) -> Result<PbxOffer, Error> {
    offer_answer::read_offer(&Offer::parse(text)?, &TrunkPolicy::default())
}

/// The media lines of our answer.
fn answered(text: impl AsRef<[u8]>) -> Result<Vec<String>, Error> {
    let offer = read_offer(text)?;
    let policy = TrunkPolicy::default();
    let (answer, ..) =
        offer_answer::answer(&offer, local(), &policy, SESSION, Direction::SendRecv)?;
    Ok(answer
        .to_string()
        .lines()
        .filter(|line| line.starts_with("m="))
        .map(str::to_owned)
        .collect())
}

/// The address that the text is understood to have, as offer and as answer.
fn understood(text: impl AsRef<[u8]>) -> Result<SocketAddr, Error> {
    let of_offer = read_offer(text.as_ref()).map(|offer| offer.remote.address.rtp);
    let of_answer = offer_answer::read_answer(&our_offer(), &Answer::parse(text)?)
        .map(|(remote, _)| remote.address.rtp);
    assert_eq!(of_offer, of_answer);
    of_offer
}

#[test]
fn description_with_odd_session_lines_is_understood() {
    for (from, to) in [
        ("o=pbx 1 1", "o=MX ONE 1 1"),
        ("o=pbx 1 1", "o=- 14665860 31787219 1"),
        ("o=pbx 1 1", "o=pbx -1 -1"),
        ("o=pbx 1 1", "o=pbx 1 99999999999999999999999"),
        ("o=pbx 1 1 IN IP4 192.0.2.1\r\n", ""),
        ("o=pbx 1 1 IN IP4 192.0.2.1", "o="),
        ("s=-\r\n", ""),
        ("s=-", "s="),
        ("s=-", "s=a\r\ns=b"),
        ("t=0 0", "t=0"),
        ("t=0 0", "t=-1 x y"),
        ("t=0 0", "t=0 0\r\nr=\r\nz=x"),
        ("t=0 0", "b=CT:-1\r\nb=X-YZ\r\nb=\r\nt=0 0"),
        ("t=0 0", "k=\r\nk=clear:x\r\nt=0 0"),
        ("t=0 0", "i=\r\nu=\r\ne=\r\np=\r\nt=0 0"),
        ("t=0 0", "t=0 0\r\nc=IN IP4 192.0.2.77"),
        ("c=IN IP4", "c=IN  IP4 "),
        ("c=IN IP4", "c= in\tip4"),
        ("v=0\r\n", ""),
        ("v=0\r\n", "v=0\r\nnot a line\r\n=\r\nx\r\n"),
        ("m=audio 4000", "m=audio  4000/1 "),
        ("\r\n", "\n"),
        ("\r\n", "\r"),
        ("\r\n", " \r\n"),
        ("/8000\r\n", "/8000"),
        ("/8000\r\n", "/8000\r\n\0"),
        ("v=0", "\u{feff}v=0"),
        ("a=rtpmap", "a=\r\na=:\r\na=rtpmap"),
    ] {
        assert!(GOOD.contains(from), "{from:?}");
        let text = GOOD.replace(from, to);
        assert_eq!(understood(&text), Ok(address("192.0.2.1:4000")), "{text:?}");
    }
}

#[test]
fn description_with_bytes_that_are_not_utf8_is_understood() {
    let mut text = GOOD.replace("s=-", "s=Gespr?ch").into_bytes();
    let at = text.iter().position(|byte| *byte == b'?').expect("one");
    text[at] = 0xe4;
    text.extend_from_slice(b"a=X-name:\xff\xfe\r\n");
    assert_eq!(understood(&text), Ok(address("192.0.2.1:4000")));
}

#[test]
fn section_that_is_not_audio_is_rejected_in_place_whatever_it_is() {
    for (section, rejected) in [
        ("m=video 0 RTP/AVP", "m=video 0 RTP/AVP 0"),
        ("m=video 99999 RTP/AVP 31", "m=video 0 RTP/AVP 31"),
        ("m=video -1 RTP/AVP 31", "m=video 0 RTP/AVP 31"),
        ("m=video", "m=video 0 - *"),
        ("m=", "m=- 0 - *"),
        ("m=application 9 TCP/MRCPv2", "m=application 0 TCP/MRCPv2 *"),
        ("m=audio 0 RTP/AVP", "m=audio 0 RTP/AVP 0"),
        (
            "m=image 5000 udptl t38\r\nc=IN IP7 x\r\nb=?\r\na=mid:\u{e9}",
            "m=image 0 udptl t38",
        ),
    ] {
        let audio = "m=audio 20000 RTP/AVP 0 101".to_owned();
        let before = GOOD.replace("m=audio", &format!("{section}\r\nm=audio"));
        assert_eq!(
            answered(&before),
            Ok(vec![rejected.to_owned(), audio.clone()])
        );
        let after = format!("{GOOD}{section}\r\n");
        assert_eq!(answered(&after), Ok(vec![audio, rejected.to_owned()]));
        let answer = Answer::parse(&after).expect("a description");
        offer_answer::read_answer(&our_offer(), &answer).expect(section);
        let answer = Answer::parse(&before).expect("a description");
        offer_answer::read_answer(&our_offer(), &answer).expect(section);
    }
}

#[test]
fn of_several_audio_sections_the_first_usable_one_is_taken() {
    for useless in [
        "m=audio 5000 RTP/AVP 100\r\na=rtpmap:100 x/8000",
        "m=audio 5000 RTP/AVP 18",
        "m=audio 5000 RTP/AVP 80",
        "m=audio 5000 RTP/AVP",
        "m=audio 70000 RTP/AVP 0",
        "m=audio 5000 RTP/SAVP 0",
        "m=audio 5000 UDP/TLS/RTP/SAVPF 0",
        "m=audio 5000 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2",
        "m=audio 5000 RTP/AVP 0\r\nc=IN IP7 192.0.2.1",
        "m=audio 5000 RTP/AVP 0\r\nc=IN IP6 192.0.2.1",
        "m=audio 5000 RTP/AVP 0\r\nc=IN IP4 pbx.example",
    ] {
        let text = GOOD.replace("m=audio", &format!("{useless}\r\nm=audio"));
        let lines = answered(&text).expect(useless);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("m=audio 0 "), "{lines:?}");
        assert_eq!(lines[1], "m=audio 20000 RTP/AVP 0 101");
    }
}

#[test]
fn what_is_wrong_in_the_section_that_is_used_is_refused_with_a_warn_code() {
    for (from, to, code) in [
        ("c=IN IP4 192.0.2.1", "c=IN IP7 192.0.2.1", 301),
        ("c=IN IP4 192.0.2.1", "c=IN IP6 192.0.2.1", 301),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 ::1", 301),
        ("c=IN IP4 192.0.2.1", "c=IN IP4", 301),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 no.such.host.invalid", 301),
        ("c=IN IP4 192.0.2.1", "c=X.25 IP4 192.0.2.1", 300),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 239.1.2.3/16", 330),
        ("c=IN IP4 192.0.2.1\r\n", "", 307),
        ("m=audio 4000", "m=audio 65536", 304),
        ("m=audio 4000", "m=video 4000", 304),
        ("RTP/AVP", "UDP/TLS/RTP/SAVP", 302),
        (" 0 101", " 18 101", 305),
    ] {
        let error = read_offer(GOOD.replace(from, to)).expect_err(to);
        assert_eq!(error.warn_code(), code, "{to}: {error}");
    }
    assert_eq!(read_offer("v=1\r\n").expect_err("version").warn_code(), 307);
}

#[test]
fn unusable_rtcp_attribute_leaves_the_default_port() {
    for rtcp in [
        "",
        "x",
        "0",
        "70000",
        "-1",
        "5555 IN",
        "5555 IN IP4",
        "5555 IN IP4 pbx.example",
        "5555 IN IP6 2001:db8::1",
        "5555 IN IP7 192.0.2.1",
        "5555 IN IP4 224.0.0.1",
    ] {
        let text = format!("{GOOD}a=rtcp:{rtcp}\r\n");
        let rtcp_address = read_offer(&text).expect(rtcp).remote.address.rtcp;
        assert_eq!(rtcp_address, Some(address("192.0.2.1:4001")), "{rtcp:?}");
    }
    let text = format!("{GOOD}a=rtcp: 5555  IN IP4\t192.0.2.9\r\n");
    let rtcp_address = read_offer(&text).expect("usable").remote.address.rtcp;
    assert_eq!(rtcp_address, Some(address("192.0.2.9:5555")));
}

#[test]
fn family_without_rtp_of_ours_is_refused_and_held_calls_are_not() {
    let ipv6 = GOOD.replace("IN IP4 192.0.2.1\r\nt", "IN IP6 2001:db8::1\r\nt");
    let only = |v4: bool, text: &str| {
        let policy = TrunkPolicy {
            families: RtpFamilies {
                ipv4: v4,
                ipv6: !v4,
            },
            ..TrunkPolicy::default()
        };
        offer_answer::read_offer(&Offer::parse(text).expect("a description"), &policy).map(|_| ())
    };
    assert_eq!(only(true, GOOD), Ok(()));
    assert_eq!(only(false, &ipv6), Ok(()));
    let refused = Error::AddressFamily("2001:db8::1".parse().expect("an address"));
    assert_eq!(only(true, &ipv6), Err(refused.clone()));
    assert_eq!(refused.warn_code(), 301);
    assert!(matches!(only(false, GOOD), Err(Error::AddressFamily(_))));
    // A hold of RFC 2543 names no place where audio goes.
    let held = GOOD.replace("IN IP4 192.0.2.1\r\nt", "IN IP4 0.0.0.0\r\nt");
    assert_eq!(only(false, &held), Ok(()));
    // Of two sections the one of our family is taken.
    let both = format!("{ipv6}m=audio 4100 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n");
    assert_eq!(only(true, &both), Ok(()));

    let answer = Answer::parse(&ipv6).expect("a description");
    assert_eq!(
        offer_answer::read_answer(&our_offer(), &answer).map(|_| ()),
        Err(refused.clone())
    );
    let offer = read_offer(&ipv6).expect("either family");
    let policy = TrunkPolicy::default();
    let answered = offer_answer::answer(&offer, local(), &policy, SESSION, Direction::SendRecv);
    assert_eq!(answered.map(|_| ()), Err(refused));
    let ours = address("[2001:db8::7]:20000");
    let (answer, ..) = offer_answer::answer(&offer, ours, &policy, SESSION, Direction::SendRecv)
        .expect("one family");
    assert!(answer.to_string().contains("c=IN IP6 2001:db8::7\r\n"));
}

#[test]
fn bracketed_and_mapped_addresses_are_understood() {
    for (connection, ip) in [
        ("IN IP6 [2001:db8::1]", "[2001:db8::1]:4000"),
        ("IN IP6 [::1]", "[::1]:4000"),
        ("IN IP6 ::ffff:192.0.2.1", "192.0.2.1:4000"),
    ] {
        let text = GOOD.replace("c=IN IP4 192.0.2.1", &format!("c={connection}"));
        let read = read_offer(&text).expect(connection);
        assert_eq!(read.remote.address.rtp, address(ip));
    }
}

/// Lines that mean nothing to a call.
const NOISE: &str = "(o=.{0,60}|s=.{0,20}|[iuepbtrzk]=.{0,40}|[^acmvos=\\r\\n][^=\\r\\n]{0,20}|b=(AS|CT|TIAS):-?[0-9]{0,30}|t=-?[0-9]{0,30} .{0,5}|k=(clear|prompt):.{0,9}|a=X-[a-z]{1,8}(:.{0,30})?|a=rtcp:.{0,20}|a=:?.{0,0}| {0,3})";

/// Sections that are not audio, or audio that nobody can use.
const OTHER: &str = "(m=(video|image|application|text|message|[a-z]{0,6}x) .{0,30}|m=|m=audio|m=audio 0 .{0,12}|m=audio -[0-9]{1,9} RTP/AVP 0|m=audio [0-9]{1,5} RTP/AVP 18|m=audio [0-9]{1,5} RTP/SAVP 0|m=audio [0-9]{1,5})";

proptest! {
    /// One usable audio section among noise: it is found, wherever and however it stands.
    #[test]
    fn usable_audio_section_is_found_in_any_company(
        head in proptest::collection::vec(NOISE, 0..6),
        before in proptest::collection::vec((OTHER, proptest::collection::vec(NOISE, 0..3)), 0..4),
        inside in proptest::collection::vec(NOISE, 0..6),
        after in proptest::collection::vec((OTHER, proptest::collection::vec(NOISE, 0..3)), 0..4),
        line_end in prop::sample::select(vec!["\r\n", "\n", "\r", " \r\n", "\r\n\r\n"]),
        end in prop::sample::select(vec!["", "\0", "\r\n", "\0\0\r\n"]),
        mark in any::<bool>(),
    ) {
        // A CR begins a line where it ends them.
        let whole = |noise: Vec<String>| {
            let is_end = line_end == "\r";
            noise.into_iter().map(move |line| if is_end { line.replace('\r', "") } else { line })
        };
        let mut lines = vec!["v=0".to_owned()];
        lines.extend(whole(head));
        lines.push("c=IN IP4 192.0.2.1".to_owned());
        let sections = before.len();
        for (line, noise) in before {
            lines.extend(whole(vec![line]));
            lines.extend(whole(noise));
        }
        lines.push("m=audio 4000 RTP/AVP 0".to_owned());
        lines.extend(whole(inside));
        for (line, noise) in after {
            lines.extend(whole(vec![line]));
            lines.extend(whole(noise));
        }
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        text.push_str(&lines.join(line_end));
        text.push_str(end);
        let offer = read_offer(&text);
        let offer = offer.map_err(|error| TestCaseError::fail(format!("{error}: {text:?}")))?;
        prop_assert_eq!(offer.remote.address.rtp, address("192.0.2.1:4000"));
        prop_assert_eq!(offer.codecs[0].codec, Codec::Pcmu);
        let media = answered(&text).expect("a codec in common");
        prop_assert!(media[sections].starts_with("m=audio 20000 RTP/AVP 0"));
        let others = media.iter().enumerate().filter(|(at, _)| *at != sections);
        for (_, line) in others {
            prop_assert_eq!(line.split(' ').nth(1), Some("0"), "{}", line);
        }
        let answer = Answer::parse(&text).expect("a description");
        prop_assert!(offer_answer::read_answer(&our_offer(), &answer).is_ok());
        // Names are looked up in nothing of this.
        prop_assert!(trunkline::sdp::connection_names(&text).is_empty());
    }

    #[test]
    fn looking_for_names_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..1_000)) {
        let names = trunkline::sdp::connection_names(&bytes);
        let found: Vec<_> = names
            .into_iter()
            .map(|name| (name, "192.0.2.1".parse().expect("an address")))
            .collect();
        let _ = trunkline::sdp::with_addresses(&bytes, &found);
    }
}
