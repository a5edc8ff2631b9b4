//! A PBX's descriptions, recorded from Asterisk and written after other equipment's habits.

use std::net::SocketAddr;

use trunkline::codec::{AudioFormat, Codec, Direction, EventFormat, ReceiveFormat};
use trunkline::sdp::{
    Answer, Error, LocalOffer, Offer, PbxOffer, RemoteMedia, SessionIds, TrunkPolicy, offer_answer,
};

const SESSION: SessionIds = SessionIds { id: 7, version: 1 };

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/sdp/", $name, ".sdp"))
    };
}

macro_rules! assert_description {
    ($name:literal, $description:expr) => {
        insta::with_settings!({snapshot_path => "fixtures/sdp/snapshots", prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $description.to_string().replace('\r', ""));
        })
    };
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn local() -> SocketAddr {
    address("198.51.100.7:20000")
}

fn opus_trunk() -> TrunkPolicy {
    TrunkPolicy {
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        ..TrunkPolicy::default()
    }
}

fn offer(policy: &TrunkPolicy) -> LocalOffer {
    offer_answer::offer(local(), policy, SESSION, Direction::SendRecv)
}

fn read_answer(offer: &LocalOffer, text: &str) -> Result<(RemoteMedia, AudioFormat), Error> {
    offer_answer::read_answer(offer, &Answer::parse(text)?)
}

fn read_offer(text: &str) -> Result<PbxOffer, Error> {
    offer_answer::read_offer(&Offer::parse(text)?, &TrunkPolicy::default())
}

fn received(codec: Codec, payload_type: u8) -> ReceiveFormat {
    ReceiveFormat {
        codec,
        payload_type,
    }
}

fn event(payload_type: u8, clock_rate: u32) -> EventFormat {
    EventFormat {
        payload_type,
        clock_rate,
    }
}

/// A description of one audio line: its format list and further lines.
fn audio(formats: &str, lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {formats}\r\n{lines}"
    )
}

#[test]
fn asterisk_answers_our_offer() {
    let offer = offer(&TrunkPolicy::default());
    assert_description!("pbx-offer", offer.offer);
    let (remote, format) = read_answer(&offer, fixture!("asterisk-answer")).expect("accepted");
    assert_eq!(remote.address.rtp, address("192.0.2.20:10074"));
    assert_eq!(remote.address.rtcp, Some(address("192.0.2.20:10075")));
    assert!(!remote.is_held());
    assert_eq!(format.send.codec, Codec::Pcmu);
    assert_eq!((format.send.payload_type, format.send.ptime), (0, 20));
    assert_eq!(format.send_events, Some(event(101, 8_000)));
    assert_eq!(format.direction, Direction::SendRecv);
}

#[test]
fn asterisk_answers_in_its_own_order() {
    let offer = offer(&opus_trunk());
    assert_description!("pbx-offer-opus", offer.offer);
    let (_, format) = read_answer(&offer, fixture!("asterisk-answer-opus")).expect("accepted");
    // Opus was offered first; Asterisk's own preference is PCMU.
    assert_eq!(format.send.codec, Codec::Pcmu);
    assert_eq!(
        format.receive,
        [
            received(Codec::Opus, 107),
            received(Codec::Pcmu, 0),
            received(Codec::Pcma, 8)
        ]
    );
    assert_eq!(format.send_events, Some(event(101, 8_000)));
    assert_eq!(
        format.receive_events,
        [event(101, 8_000), event(110, 48_000)]
    );
}

#[test]
fn asterisks_offer_is_answered_with_one_codec() {
    let offer = read_offer(fixture!("asterisk-offer")).expect("an offer with audio");
    assert_eq!(offer.max_ptime, Some(60));
    let (answer, remote, format) =
        offer_answer::answer(&offer, local(), &opus_trunk(), SESSION, Direction::SendRecv)
            .expect("a common codec");
    assert_description!("asterisk-offer.answer", answer);
    assert_eq!(remote.address.rtp, address("192.0.2.20:10004"));
    assert_eq!(format.send.codec, Codec::Opus);
    assert_eq!(format.send.payload_type, 107);
    assert_eq!(format.send_events, Some(event(101, 8_000)));
    // What the answer leaves out may arrive all the same.
    assert_eq!(format.receive.len(), 3);
    assert_eq!(
        format.receive_events,
        [event(101, 8_000), event(102, 48_000)]
    );
}

#[test]
fn the_pbx_holds_and_resumes_three_times() {
    let policy = TrunkPolicy::default();
    let mut session = SESSION;
    let ours = offer(&policy);
    read_answer(&ours, fixture!("asterisk-answer")).expect("accepted");
    let mut texts = Vec::new();
    for _ in 0..3 {
        for (text, held, direction) in [
            (fixture!("asterisk-offer-hold"), true, Direction::RecvOnly),
            (
                fixture!("asterisk-offer-resume"),
                false,
                Direction::SendRecv,
            ),
        ] {
            session = session.next();
            let offer = read_offer(text).expect("an offer with audio");
            let (answer, remote, format) =
                offer_answer::answer(&offer, local(), &policy, session, Direction::SendRecv)
                    .expect("a common codec");
            assert_eq!(remote.is_held(), held);
            assert_eq!(format.direction, direction);
            assert_eq!(format.send.codec, Codec::Pcmu);
            assert_eq!(remote.address.rtp, address("192.0.2.20:10002"));
            texts.push(answer.to_string());
        }
    }
    assert_eq!(session.version, 7);
    for (index, text) in texts.iter().enumerate() {
        assert!(text.starts_with(&format!(
            "v=0\r\no=- 7 {} IN IP4 198.51.100.7\r\n",
            index + 2
        )));
        assert!(
            text.contains(["a=recvonly", "a=sendrecv"][index % 2]),
            "{text}"
        );
        assert!(text.contains("m=audio 20000 RTP/AVP 0 101\r\n"), "{text}");
    }
}

#[test]
fn we_hold_and_resume_three_times() {
    let mut session = SESSION;
    let mut ours = offer(&TrunkPolicy::default());
    let first = ours.offer.to_string();
    for _ in 0..3 {
        session = session.next();
        ours = ours.reoffer(
            local(),
            &TrunkPolicy::default(),
            session,
            Direction::SendOnly,
        );
        let text = ours.offer.to_string();
        assert!(text.contains("a=sendonly\r\n"), "{text}");
        let (remote, format) =
            read_answer(&ours, fixture!("asterisk-answer-hold")).expect("accepted");
        assert!(!remote.is_held());
        assert_eq!(format.direction, Direction::SendOnly);

        session = session.next();
        ours = ours.reoffer(
            local(),
            &TrunkPolicy::default(),
            session,
            Direction::SendRecv,
        );
        let (_, format) = read_answer(&ours, fixture!("asterisk-answer-resume")).expect("accepted");
        assert_eq!(format.direction, Direction::SendRecv);
        // But for the version it is the first offer again: the same numbers, the same port.
        let expected = first.replace("o=- 7 1 ", &format!("o=- 7 {} ", session.version));
        assert_eq!(ours.offer.to_string(), expected);
    }
}

#[test]
fn the_pbxs_lines_and_numbers_hold_when_we_offer_after_it() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=image 5000 udptl t38\r\nm=audio 4000 RTP/AVP 97 96\r\na=rtpmap:97 opus/48000/2\r\n\
        a=rtpmap:96 telephone-event/48000\r\n";
    let offer = read_offer(text).expect("an offer with audio");
    let (answer, _, format) =
        offer_answer::answer(&offer, local(), &opus_trunk(), SESSION, Direction::SendRecv)
            .expect("a common codec");
    let text = answer.to_string();
    assert!(text.find("m=image 0 udptl t38\r\n") < text.find("m=audio 20000 RTP/AVP 97 96\r\n"));
    let ours = offer.reversed(
        local(),
        &opus_trunk(),
        &format,
        SESSION.next(),
        Direction::SendOnly,
    );
    assert_description!("pbx-offer-turned", ours.offer);
    let answer = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=image 0 udptl t38\r\nm=audio 4000 RTP/AVP 97 96\r\na=rtpmap:97 opus/48000/2\r\n\
        a=rtpmap:96 telephone-event/48000\r\na=recvonly\r\n";
    let (_, format) = read_answer(&ours, answer).expect("accepted");
    assert_eq!(format.send.codec, Codec::Opus);
    assert_eq!(format.direction, Direction::SendOnly);
}

#[test]
fn every_way_to_hold_is_understood() {
    for (connection, attribute, held, direction) in [
        ("192.0.2.1", "a=sendrecv\r\n", false, Direction::SendRecv),
        ("192.0.2.1", "", false, Direction::SendRecv),
        ("192.0.2.1", "a=sendonly\r\n", true, Direction::RecvOnly),
        ("192.0.2.1", "a=inactive\r\n", true, Direction::Inactive),
        ("192.0.2.1", "a=recvonly\r\n", false, Direction::SendOnly),
        ("0.0.0.0", "a=sendrecv\r\n", true, Direction::RecvOnly),
        ("0.0.0.0", "a=inactive\r\n", true, Direction::Inactive),
    ] {
        let text =
            audio("0", attribute).replace("c=IN IP4 192.0.2.1", &format!("c=IN IP4 {connection}"));
        let offer = read_offer(&text).expect("an offer with audio");
        assert_eq!(offer.remote.is_held(), held, "{text}");
        assert_eq!(offer.direction, direction, "{text}");
        let (answer, _, format) = offer_answer::answer(
            &offer,
            local(),
            &TrunkPolicy::default(),
            SESSION,
            Direction::SendRecv,
        )
        .expect("a common codec");
        assert_eq!(format.direction, direction);
        assert!(answer.to_string().contains(direction.attribute()));
    }
}

#[test]
fn the_direction_may_stand_at_the_session() {
    let text = audio("0", "").replace("m=audio", "a=sendonly\r\nm=audio");
    assert!(
        read_offer(&text)
            .expect("an offer with audio")
            .remote
            .is_held()
    );
}

#[test]
fn addresses_are_read_where_they_stand() {
    let text = audio("0", "c=IN IP4 192.0.2.99\r\na=rtcp:5555\r\n");
    let remote = read_offer(&text)
        .expect("an offer with audio")
        .remote
        .address;
    assert_eq!(remote.rtp, address("192.0.2.99:4000"));
    assert_eq!(remote.rtcp, Some(address("192.0.2.99:5555")));

    let text = audio("0", "a=rtcp:5555 IN IP4 192.0.2.98\r\n");
    let remote = read_offer(&text)
        .expect("an offer with audio")
        .remote
        .address;
    assert_eq!(remote.rtcp, Some(address("192.0.2.98:5555")));

    let text = audio("0", "").replace("IN IP4 192.0.2.1", "IN IP6 2001:db8::1");
    let remote = read_offer(&text)
        .expect("an offer with audio")
        .remote
        .address;
    assert_eq!(remote.rtp, address("[2001:db8::1]:4000"));

    let text = audio("0", "").replace("4000", "65535");
    let remote = read_offer(&text)
        .expect("an offer with audio")
        .remote
        .address;
    assert_eq!(remote.rtcp, None);
}

#[test]
fn an_ipv6_address_of_ours_is_written_as_one() {
    let policy = TrunkPolicy::default();
    let ours = offer_answer::offer(
        address("[2001:db8::7]:20000"),
        &policy,
        SESSION,
        Direction::SendRecv,
    );
    let text = ours.offer.to_string();
    assert!(text.contains("o=- 7 1 IN IP6 2001:db8::7\r\n"), "{text}");
    assert!(text.contains("c=IN IP6 2001:db8::7\r\n"), "{text}");
}

#[test]
fn a_shared_rtcp_port_is_accepted_when_offered_and_only_then() {
    let offer = read_offer(&audio("0", "a=rtcp-mux\r\n")).expect("an offer with audio");
    assert_eq!(offer.remote.address.rtcp, Some(offer.remote.address.rtp));
    let answer = |offer: &PbxOffer| {
        offer_answer::answer(
            offer,
            local(),
            &TrunkPolicy::default(),
            SESSION,
            Direction::SendRecv,
        )
        .map(|(answer, ..)| answer.to_string())
        .expect("a common codec")
    };
    assert!(answer(&offer).contains("a=rtcp-mux\r\n"));
    let offer = read_offer(&audio("0", "")).expect("an offer with audio");
    assert!(!answer(&offer).contains("rtcp-mux"));
}

#[test]
fn static_payload_types_need_no_rtpmap_and_an_rtpmap_wins_over_them() {
    let offer = read_offer(&audio("8 0 18", "")).expect("an offer with audio");
    let codecs: Vec<_> = offer.codecs.iter().map(|codec| codec.codec).collect();
    assert_eq!(codecs, [Codec::Pcma, Codec::Pcmu]);

    let offer = read_offer(&audio("0 8", "a=rtpmap:0 speex/8000\r\n")).expect("audio");
    let codecs: Vec<_> = offer.codecs.iter().map(|codec| codec.codec).collect();
    assert_eq!(codecs, [Codec::Pcma]);
}

#[test]
fn a_codec_is_never_matched_across_clock_rates() {
    let lines = "a=rtpmap:97 opus/16000/2\r\na=rtpmap:98 PCMU/16000\r\n";
    let error = read_offer(&audio("97 98", lines)).expect_err("nothing that we know");
    assert_eq!(
        error,
        Error::NoCommonCodec("opus/16000/2, PCMU/16000".into())
    );
}

#[test]
fn the_packets_are_as_long_as_the_pbx_wants() {
    let policy = TrunkPolicy::default();
    for (lines, ptime) in [
        ("", 20),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:20.0\r\n", 20),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:10\r\n", 10),
        ("a=ptime:0\r\n", 20),
    ] {
        let offer = read_offer(&audio("0", lines)).expect("an offer with audio");
        let (answer, _, format) =
            offer_answer::answer(&offer, local(), &policy, SESSION, Direction::SendRecv)
                .expect("a common codec");
        assert_eq!(format.send.ptime, ptime, "{lines:?}");
        assert!(answer.to_string().contains(&format!("a=ptime:{ptime}\r\n")));
    }
}

#[test]
fn an_answer_that_renumbers_is_followed() {
    let ours = offer(&opus_trunk());
    let text = audio(
        "120 121",
        "a=rtpmap:120 opus/48000/2\r\na=fmtp:120 maxplaybackrate=16000\r\n\
         a=rtpmap:121 telephone-event/48000\r\n",
    );
    let (_, format) = read_answer(&ours, &text).expect("accepted");
    assert_eq!(
        (format.send.codec, format.send.payload_type),
        (Codec::Opus, 120)
    );
    assert_eq!(format.send.opus.max_playback_rate, 16_000);
    assert_eq!(format.send_events, Some(event(121, 48_000)));
    assert!(format.receive.contains(&received(Codec::Opus, 107)));
    assert!(format.receive.contains(&received(Codec::Opus, 120)));
    assert!(format.receive_events.contains(&event(121, 48_000)));
}

#[test]
fn digits_go_in_the_audio_when_the_pbx_or_the_policy_has_no_events() {
    let (_, format) = read_answer(&offer(&TrunkPolicy::default()), &audio("0", "")).expect("ok");
    assert_eq!(format.send_events, None);

    let policy = TrunkPolicy {
        telephone_event: false,
        ..TrunkPolicy::default()
    };
    let ours = offer(&policy);
    assert!(!ours.offer.to_string().contains("telephone-event"));
    let (_, format) = read_answer(&ours, fixture!("asterisk-answer")).expect("accepted");
    assert_eq!(format.send_events, None);
    let offer = read_offer(fixture!("asterisk-offer")).expect("an offer with audio");
    let (answer, _, format) =
        offer_answer::answer(&offer, local(), &policy, SESSION, Direction::SendRecv)
            .expect("a codec");
    assert!(!answer.to_string().contains("telephone-event"));
    assert!(format.receive_events.is_empty());
}

#[test]
fn encrypted_and_plain_lines_side_by_side_leave_the_plain_one() {
    let text = audio("0", "").replace(
        "m=audio 4000 RTP/AVP 0\r\n",
        "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n\
         m=audio 4000 RTP/AVPF 0\r\n",
    );
    let offer = read_offer(&text).expect("an offer with audio");
    let (answer, ..) = offer_answer::answer(
        &offer,
        local(),
        &TrunkPolicy::default(),
        SESSION,
        Direction::SendRecv,
    )
    .expect("a common codec");
    assert_description!("best-effort-offer.answer", answer);
}

#[test]
fn a_re_offer_may_change_the_codec() {
    let policy = TrunkPolicy::default();
    let sent = |formats| {
        let offer = read_offer(&audio(formats, "")).expect("an offer with audio");
        offer_answer::answer(&offer, local(), &policy, SESSION, Direction::SendRecv)
            .expect("a common codec")
            .2
            .send
            .codec
    };
    assert_eq!(sent("0 8"), Codec::Pcmu);
    assert_eq!(sent("8"), Codec::Pcma);
}

#[test]
fn each_defect_has_its_error() {
    let refused = |text: String| read_offer(&text).map(|_| ());
    assert_eq!(
        refused(audio("0", "").replace("RTP/AVP", "RTP/SAVP")),
        Err(Error::UnsupportedTransport("RTP/SAVP".into()))
    );
    assert_eq!(
        refused(audio("0", "").replace("4000", "0")),
        Err(Error::NoAudio)
    );
    assert_eq!(
        refused(audio("0", "").replace("m=audio", "m=video")),
        Err(Error::NoAudio)
    );
    assert_eq!(
        refused(audio("0", "").replace("c=IN IP4 192.0.2.1\r\n", "")),
        Err(Error::NoAddress)
    );
    let at = |connection: &str| audio("0", "").replace("c=IN IP4 192.0.2.1", connection);
    assert_eq!(
        refused(at("c=IN IP4 pbx.example.com")),
        Err(Error::UnknownName("pbx.example.com".into()))
    );
    assert_eq!(
        refused(at("c=IN IP4 224.0.0.1/127")),
        Err(Error::Multicast("224.0.0.1/127".into()))
    );
    assert_eq!(
        refused(at("c=IN IP7 192.0.2.1")),
        Err(Error::UnsupportedAddress("IN IP7 192.0.2.1".into()))
    );
    assert_eq!(
        refused(at("c=ATM NSAP 47")),
        Err(Error::UnsupportedNetwork("ATM NSAP 47".into()))
    );
    assert_eq!(
        refused(audio("18 13", "a=rtpmap:18 G729/8000\r\n")),
        Err(Error::NoCommonCodec("G729/8000, 13".into()))
    );

    let ours = offer(&TrunkPolicy::default());
    let refused = |text: String| read_answer(&ours, &text).map(|_| ());
    assert_eq!(
        refused(audio("0", "").replace("4000", "0")),
        Err(Error::AudioRejected)
    );
    assert_eq!(
        refused(audio("0", "").replace("RTP/AVP", "RTP/SAVP")),
        Err(Error::UnsupportedTransport("RTP/SAVP".into()))
    );
    assert_eq!(
        refused(audio("97", "a=rtpmap:97 opus/48000/2\r\n")),
        Err(Error::NoCommonCodec("opus/48000/2".into()))
    );
}
