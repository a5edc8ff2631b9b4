//! Keys in a PBX's descriptions (RFC 4568) and encryption where the other end can (RFC 8643):
//! every mode of a trunk against everything that a PBX may offer or answer.

use std::net::SocketAddr;

use trunkline::codec::{AudioFormat, Direction};
use trunkline::sdp::{
    Answer, Error, KeySeed, LocalMedia, LocalOffer, Offer, PbxOffer, RemoteMedia, SessionIds,
    SrtpMode, TrunkPolicy, offer_answer,
};
use trunkline::srtp_keys::{CryptoSuite, MasterKey};

const SESSION: SessionIds = SessionIds { id: 7, version: 1 };

/// Keys of the PBX: RFC 4568 section 4.3 and another.
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const OTHER_KEY: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
const SHA1_80: &str = "AES_CM_128_HMAC_SHA1_80";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn local() -> LocalMedia {
    LocalMedia::new(address("198.51.100.7:20000"), KeySeed::new([0x5a; 32]))
}

fn policy(srtp: SrtpMode) -> TrunkPolicy {
    TrunkPolicy {
        srtp,
        ..TrunkPolicy::default()
    }
}

/// A description with one audio line of this profile.
fn audio(proto: &str, lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 4000 {proto} 0\r\n{lines}"
    )
}

fn crypto(tag: u32, key: &str) -> String {
    format!("a=crypto:{tag} {SHA1_80} inline:{key}\r\n")
}

fn master(key: &str) -> MasterKey {
    use base64::Engine as _;
    let octets = base64::engine::general_purpose::STANDARD
        .decode(key)
        .expect("base64");
    MasterKey::new(CryptoSuite::Aes128CmSha1_80, &octets).expect("30 octets")
}

fn read_offer(text: &str, policy: &TrunkPolicy) -> Result<PbxOffer, Error> {
    offer_answer::read_offer(&Offer::parse(text)?, policy)
}

/// Reads an offer and answers it.
fn answer(
    text: &str,
    local: LocalMedia,
    policy: &TrunkPolicy,
    session: SessionIds,
) -> Result<(String, RemoteMedia, AudioFormat), Error> {
    let offer = read_offer(text, policy)?;
    let (answer, remote, format) =
        offer_answer::answer(&offer, local, policy, session, Direction::SendRecv)?;
    Ok((answer.to_string(), remote, format))
}

fn offer(policy: &TrunkPolicy) -> LocalOffer {
    offer_answer::offer(local(), policy, SESSION, Direction::SendRecv)
}

fn read_answer(offer: &LocalOffer, text: &str) -> Result<RemoteMedia, Error> {
    offer_answer::read_answer(offer, &Answer::parse(text)?).map(|(remote, _)| remote)
}

fn crypto_lines(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("a=crypto:"))
        .collect()
}

fn profile(text: &str) -> &str {
    let line = text.lines().find(|line| line.starts_with("m=audio"));
    line.and_then(|line| line.split(' ').nth(2))
        .expect("a profile")
}

/// What became of a description.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Plain,
    Secured,
    Refused(Error),
}

#[test]
fn every_mode_answers_every_profile_with_and_without_keys() {
    use Outcome::{Plain, Refused, Secured};
    use SrtpMode::{Off, Optional, Required};
    let unsupported = |proto: &str| Refused(Error::UnsupportedTransport(proto.to_owned()));
    let no_key = |reason| Refused(Error::NoUsableKey(reason));
    let good = crypto(1, KEY);
    let with_mki = format!("a=crypto:1 {SHA1_80} inline:{KEY}|2^20|1:4\r\n");
    const MKI: &str = "master key identifiers are not supported";
    let mut table = Vec::new();
    for (plain, secure) in [("RTP/AVP", "RTP/SAVP"), ("RTP/AVPF", "RTP/SAVPF")] {
        table.extend([
            (Off, plain, "", Plain),
            (Off, plain, &*good, Plain),
            (Off, secure, "", unsupported(secure)),
            (Off, secure, &good, unsupported(secure)),
            (Optional, plain, "", Plain),
            (Optional, plain, &good, Secured),
            (Optional, plain, &with_mki, Plain),
            (Optional, secure, "", no_key("no line suits")),
            (Optional, secure, &good, Secured),
            (Optional, secure, &with_mki, no_key(MKI)),
            (Required, plain, "", Refused(Error::Unprotected)),
            (Required, plain, &good, Secured),
            (Required, plain, &with_mki, Refused(Error::Unprotected)),
            (Required, secure, "", no_key("no line suits")),
            (Required, secure, &good, Secured),
            (Required, secure, &with_mki, no_key(MKI)),
        ]);
    }
    for mode in [Off, Optional, Required] {
        let dtls = "UDP/TLS/RTP/SAVP";
        table.push((mode, dtls, &good, unsupported(dtls)));
    }
    for (mode, proto, lines, expected) in table {
        let answered = answer(&audio(proto, lines), local(), &policy(mode), SESSION);
        let outcome = match &answered {
            Ok((text, remote, _)) => {
                assert_eq!(profile(text), proto, "the answer has the offer's profile");
                assert_eq!(crypto_lines(text).len(), remote.srtp_keys.iter().count());
                match remote.srtp_keys {
                    Some(srtp_keys) => {
                        assert_eq!(srtp_keys.receive, master(KEY));
                        assert_ne!(srtp_keys.send, srtp_keys.receive);
                        Secured
                    }
                    None => Plain,
                }
            }
            Err(error) => Refused(error.clone()),
        };
        assert_eq!(outcome, expected, "{mode:?} {proto} {lines:?}");
    }
}

#[test]
fn every_mode_takes_the_answers_that_fit_its_offer() {
    use Outcome::{Plain, Refused, Secured};
    use SrtpMode::{Off, Optional, Required};
    let unsupported = || Refused(Error::UnsupportedTransport("RTP/SAVP".to_owned()));
    let no_line = || Refused(Error::NoUsableKey("no line suits"));
    let good = crypto(1, KEY);
    // Tag 2 is another suite, tag 9 nobody offered.
    let (wrong_suite, wrong_tag) = (crypto(2, KEY), crypto(9, KEY));
    for (mode, proto, lines, expected) in [
        (Off, "RTP/AVP", "", Plain),
        (Off, "RTP/AVP", &*good, Plain),
        (Off, "RTP/SAVP", &good, unsupported()),
        (Optional, "RTP/AVP", "", Plain),
        (Optional, "RTP/AVP", &good, Secured),
        (Optional, "RTP/SAVP", &good, Secured),
        (Optional, "RTP/AVP", &wrong_suite, no_line()),
        (Optional, "RTP/AVP", &wrong_tag, no_line()),
        (Optional, "RTP/SAVP", "", no_line()),
        (Required, "RTP/SAVP", &good, Secured),
        (Required, "RTP/AVP", &good, Secured),
        (Required, "RTP/AVP", "", Refused(Error::Unprotected)),
        (Required, "RTP/SAVP", "", no_line()),
        (Required, "RTP/SAVP", &wrong_tag, no_line()),
    ] {
        let ours = offer(&policy(mode));
        let outcome = match read_answer(&ours, &audio(proto, lines)) {
            Ok(remote) => match remote.srtp_keys {
                Some(srtp_keys) => {
                    assert_eq!(srtp_keys.receive, master(KEY));
                    Secured
                }
                None => Plain,
            },
            Err(error) => Refused(error),
        };
        assert_eq!(outcome, expected, "{mode:?} {proto} {lines:?}");
    }
}

#[test]
fn an_offer_has_the_profile_and_the_lines_of_its_mode() {
    for (mode, avpf, proto, lines) in [
        (SrtpMode::Off, false, "RTP/AVP", 0),
        (SrtpMode::Off, true, "RTP/AVPF", 0),
        (SrtpMode::Optional, false, "RTP/AVP", 3),
        (SrtpMode::Optional, true, "RTP/AVPF", 3),
        (SrtpMode::Required, false, "RTP/SAVP", 3),
        (SrtpMode::Required, true, "RTP/SAVPF", 3),
    ] {
        let text = offer(&TrunkPolicy {
            avpf,
            ..policy(mode)
        })
        .offer
        .to_string();
        assert_eq!(profile(&text), proto);
        assert_eq!(crypto_lines(&text).len(), lines, "{text}");
    }
    let text = offer(&policy(SrtpMode::Required)).offer.to_string();
    let lines = crypto_lines(&text);
    for (line, (tag, suite)) in lines.iter().zip((1..).zip(CryptoSuite::ALL)) {
        let start = format!("a=crypto:{tag} {suite} inline:");
        assert!(line.starts_with(&start), "{line}");
    }
    let mut keys: Vec<_> = lines
        .iter()
        .filter_map(|line| line.split("inline:").nth(1))
        .collect();
    keys.dedup();
    assert_eq!(keys.len(), 3, "each line has a key of its own");
}

#[test]
fn the_first_line_of_an_offer_that_policy_knows_is_answered_with_its_tag() {
    let gcm = "a=crypto:4 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==\r\n";
    let lines = format!(
        "a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n\
         a=crypto:2 {SHA1_80} inline:{KEY}|2^31|1:1\r\n{gcm}{}",
        crypto(7, KEY)
    );
    let text = audio("RTP/SAVP", &lines);
    let required = policy(SrtpMode::Required);
    let (answered, remote, _) = answer(&text, local(), &required, SESSION).expect("answered");
    let [line] = crypto_lines(&answered)[..] else {
        panic!("{answered}");
    };
    assert!(line.starts_with("a=crypto:4 AEAD_AES_128_GCM inline:"));
    let srtp_keys = remote.srtp_keys.expect("keys");
    assert_eq!(srtp_keys.receive.key(), (0..16).collect::<Vec<u8>>());
    assert_eq!(srtp_keys.receive.salt(), (16..28).collect::<Vec<u8>>());

    let without_gcm = TrunkPolicy {
        crypto_suites: vec![CryptoSuite::Aes128CmSha1_80],
        ..required
    };
    let (answered, ..) = answer(&text, local(), &without_gcm, SESSION).expect("answered");
    assert!(crypto_lines(&answered)[0].starts_with("a=crypto:7 "));
}

#[test]
fn of_two_audio_lines_the_one_with_keys_is_taken_where_policy_wants_it() {
    let two = audio("RTP/AVP", "").replace(
        "m=audio 4000 RTP/AVP 0\r\n",
        &format!(
            "m=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/SAVP 0\r\n{}",
            crypto(1, KEY)
        ),
    );
    for (mode, port) in [
        (SrtpMode::Off, 4_000),
        (SrtpMode::Optional, 4_002),
        (SrtpMode::Required, 4_002),
    ] {
        let (answered, remote, _) =
            answer(&two, local(), &policy(mode), SESSION).expect("answered");
        assert_eq!(remote.address.rtp.port(), port, "{mode:?}");
        let ports: Vec<_> = answered
            .lines()
            .filter_map(|line| line.strip_prefix("m=audio "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let expected = match port {
            4_000 => ["20000", "0"],
            _ => ["0", "20000"],
        };
        assert_eq!(ports, expected, "{mode:?}");
    }
}

#[test]
fn our_key_changes_with_the_suite_or_another_end_only() {
    let optional = policy(SrtpMode::Optional);
    let mut local = local();
    let mut session = SESSION;
    let mut turn = |text: &str| {
        let (answered, remote, _) = answer(text, local, &optional, session).expect("answered");
        local.agree(&remote);
        session = session.next();
        (answered, remote.srtp_keys.map(|srtp_keys| srtp_keys.send))
    };
    let talk = audio("RTP/SAVP", &crypto(1, KEY));
    let (_, first) = turn(&talk);
    let (_, held) = turn(&talk.replace("a=crypto", "a=sendonly\r\na=crypto"));
    let (_, held_the_old_way) = turn(&talk.replace("192.0.2.1", "0.0.0.0"));
    let (_, resumed) = turn(&talk);
    assert_eq!([first, held, held_the_old_way], [resumed; 3]);

    let (_, rekeyed) = turn(&audio("RTP/SAVP", &crypto(1, OTHER_KEY)));
    assert_eq!(
        rekeyed, first,
        "a new key of the PBX is for the other direction"
    );
    let (_, moved) = turn(&audio("RTP/SAVP", &crypto(1, OTHER_KEY)).replace("4000", "4010"));
    assert_eq!(moved, first, "the end with the same key has moved");
    let (_, retagged) = turn(&audio("RTP/SAVP", &crypto(7, OTHER_KEY)).replace("4000", "4010"));
    assert_eq!(retagged, first, "a tag names a line, not a key");
    let short = SHA1_80.replace("80", "32");
    let other_suite = crypto(1, OTHER_KEY).replace(SHA1_80, &short);
    let (_, other_suite) = turn(&audio("RTP/SAVP", &other_suite).replace("4000", "4010"));
    assert_ne!(other_suite, first);
    let (_, other_end) = turn(&talk);
    assert!(other_end.is_some() && other_end != first && other_end != other_suite);
    let (answered, plain) = turn(&audio("RTP/AVP", ""));
    assert_eq!((plain, crypto_lines(&answered).len()), (None, 0));
    let (_, again) = turn(&talk);
    assert!(again.is_some());
    assert!(
        ![first, other_suite, other_end].contains(&again),
        "never used before"
    );
}

#[test]
fn our_own_new_offer_keeps_what_is_in_use_and_offers_all_to_whoever_else_may_answer() {
    let required = policy(SrtpMode::Required);
    let ours = offer(&required);
    let accepted = read_answer(&ours, &audio("RTP/SAVP", &crypto(1, KEY))).expect("accepted");
    let used = accepted.srtp_keys.expect("keys");
    let mut local = local();
    local.agree(&accepted);

    let hold = ours.reoffer(local, &required, SESSION.next(), Direction::SendOnly);
    let text = hold.offer.to_string();
    assert_eq!(
        crypto_lines(&text),
        crypto_lines(&ours.offer.to_string())[..1]
    );
    assert_eq!(profile(&text), "RTP/SAVP");
    let answered = read_answer(&hold, &audio("RTP/SAVP", &crypto(1, OTHER_KEY))).expect("accepted");
    let srtp_keys = answered.srtp_keys.expect("keys");
    assert_eq!(srtp_keys.send, used.send);
    assert_eq!(srtp_keys.receive, master(OTHER_KEY));

    let open = ours.reoffer(
        local.with_fresh_keys(),
        &required,
        SESSION.next(),
        Direction::SendRecv,
    );
    let text = open.offer.to_string();
    let lines = crypto_lines(&text);
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| !crypto_lines(&ours.offer.to_string()).contains(line)),
        "keys that nobody has seen"
    );
}

#[test]
fn after_an_offer_of_the_pbx_ours_has_its_line_and_the_key_in_use() {
    let optional = policy(SrtpMode::Optional);
    for (proto, lines, expected) in [
        ("RTP/SAVP", crypto(3, KEY), 1),
        ("RTP/AVP", crypto(3, KEY), 1),
        ("RTP/AVP", String::new(), 0),
    ] {
        let theirs = read_offer(&audio(proto, &lines), &optional).expect("an offer");
        let (_, remote, format) =
            offer_answer::answer(&theirs, local(), &optional, SESSION, Direction::SendRecv)
                .expect("answered");
        let mut local = local();
        local.agree(&remote);
        let ours = theirs.reversed(
            local,
            &optional,
            &format,
            SESSION.next(),
            Direction::SendOnly,
        );
        let text = ours.offer.to_string();
        assert_eq!(profile(&text), proto);
        assert_eq!(crypto_lines(&text).len(), expected, "{text}");
        if let Some(srtp_keys) = remote.srtp_keys {
            let answered = read_answer(&ours, &audio(proto, &crypto(1, KEY))).expect("accepted");
            assert_eq!(answered.srtp_keys, Some(srtp_keys));
        }
    }
}

#[test]
fn forks_have_keys_of_their_own() {
    let ours = offer(&policy(SrtpMode::Optional));
    let one = read_answer(&ours, &audio("RTP/AVP", &crypto(1, KEY))).expect("accepted");
    let other = read_answer(&ours, &audio("RTP/AVP", &crypto(1, OTHER_KEY))).expect("accepted");
    let plain = read_answer(&ours, &audio("RTP/AVP", "")).expect("accepted");
    let (one, other) = (one.srtp_keys.expect("keys"), other.srtp_keys.expect("keys"));
    assert_eq!(one.send, other.send);
    assert_eq!(
        (one.receive, other.receive),
        (master(KEY), master(OTHER_KEY))
    );
    assert_eq!(plain.srtp_keys, None);
}

#[test]
fn no_key_shows_in_what_a_log_may_print() {
    let required = policy(SrtpMode::Required);
    let ours = offer(&required);
    let text = ours.offer.to_string();
    let key = crypto_lines(&text)[0]
        .split("inline:")
        .nth(1)
        .expect("a key")
        .to_owned();
    let theirs = read_offer(&audio("RTP/SAVP", &crypto(1, KEY)), &required).expect("an offer");
    let parsed = Answer::parse(audio("RTP/SAVP", &crypto(1, KEY))).expect("an answer");
    let remote = read_answer(&ours, &audio("RTP/SAVP", &crypto(1, KEY))).expect("accepted");
    let shown = format!("{ours:?} {theirs:?} {parsed:?} {remote:?} {:?}", local());
    assert!(!shown.contains(&key) && !shown.contains(KEY), "{shown}");
    let octets = format!("{:?}", master(KEY).key());
    assert!(!shown.contains(octets.trim_matches(['[', ']'])), "{shown}");
}
