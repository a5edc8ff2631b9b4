//! Browsers' descriptions, recorded from Chromium and Firefox, read and answered.

use trunkline::codec::{Codec, Direction, EventFormat, ReceiveFormat};
use trunkline::sdp::{
    Answer, BrowserPolicy, Error, IceDtlsParameters, Offer, SessionIds, Setup, jsep,
};

const SESSION: SessionIds = SessionIds { id: 42, version: 1 };

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

fn local() -> IceDtlsParameters {
    IceDtlsParameters {
        ufrag: "h8Zt0q2L".into(),
        pwd: "k3J9vQ7sX1mB5nR8wC2yT6pF".into(),
        lite: true,
        trickle: true,
        fingerprints: vec![
            "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:\
             00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"
                .parse()
                .expect("a fingerprint"),
        ],
        setup: Setup::ActPass,
        candidates: vec![
            "candidate:1 1 udp 2130706175 2001:db8::1 7000 typ host".into(),
            "candidate:2 1 udp 2130706431 198.51.100.1 7000 typ host".into(),
        ],
        end_of_candidates: true,
    }
}

fn answer(text: &str, audio_rate: u32) -> (Answer, trunkline::codec::AudioFormat) {
    let offer = Offer::parse(text).expect("a recorded offer");
    let offer = jsep::read_offer(&offer).expect("an offer with audio");
    jsep::answer(
        &offer,
        &local(),
        &BrowserPolicy::default(),
        None,
        audio_rate,
        SESSION,
        Direction::SendRecv,
    )
    .expect("a common codec")
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

#[test]
fn chromium_is_answered_with_every_codec_and_one_telephone_event() {
    let (answer, format) = answer(fixture!("chromium-offer-audio"), 8_000);
    assert_description!("chromium-offer-audio.answer", answer);
    assert_eq!(format.send.codec, Codec::Opus);
    assert_eq!(format.send.payload_type, 111);
    assert_eq!(format.send.ptime, 20);
    assert!(format.send.opus.inband_fec);
    assert_eq!(
        format.receive,
        [
            received(Codec::Opus, 111),
            received(Codec::Pcmu, 0),
            received(Codec::Pcma, 8)
        ]
    );
    assert_eq!(format.receive_events, [event(110, 48_000)]);
    assert_eq!(format.send_events, Some(event(110, 48_000)));
    assert_eq!(format.direction, Direction::SendRecv);
}

#[test]
fn digits_go_on_the_clock_of_the_codec_in_use() {
    let offer = Offer::parse(fixture!("chromium-offer-audio")).expect("a recorded offer");
    let offer = jsep::read_offer(&offer).expect("an offer with audio");
    let (_, format) = jsep::answer(
        &offer,
        &local(),
        &BrowserPolicy::default(),
        Some(Codec::Pcma),
        8_000,
        SESSION,
        Direction::SendRecv,
    )
    .expect("a common codec");
    assert_eq!(format.send.codec, Codec::Pcma);
    assert_eq!(format.send_events, Some(event(126, 8_000)));
    assert_eq!(format.receive[0], received(Codec::Pcma, 8));
}

#[test]
fn chromiums_video_and_data_channel_are_rejected_in_their_places() {
    let (answer, _) = answer(fixture!("chromium-offer-video"), 8_000);
    assert_description!("chromium-offer-video.answer", answer);
}

#[test]
fn firefox_is_answered_with_its_own_numbers() {
    let (answer, format) = answer(fixture!("firefox-offer-audio"), 48_000);
    assert_description!("firefox-offer-audio.answer", answer);
    assert_eq!(format.send.payload_type, 109);
    // Opus runs at 48000, but Firefox has telephone-event/8000 only.
    assert_eq!(format.send_events, Some(event(101, 8_000)));
}

#[test]
fn firefoxs_video_and_data_channel_are_rejected_in_their_places() {
    let (answer, _) = answer(fixture!("firefox-offer-video"), 8_000);
    assert_description!("firefox-offer-video.answer", answer);
}

#[test]
fn the_transport_is_read_from_line_and_session() {
    let offer = Offer::parse(fixture!("chromium-offer-audio")).expect("a recorded offer");
    let chromium = jsep::read_offer(&offer).expect("audio").transport;
    assert_eq!(chromium.ufrag, "RlLe");
    assert_eq!(chromium.pwd.len(), 24);
    assert_eq!(chromium.candidates.len(), 4);
    assert!(chromium.candidates[0].starts_with("candidate:1189768598 1 udp "));
    assert!(chromium.trickle && !chromium.lite && !chromium.end_of_candidates);
    assert_eq!(chromium.setup, Setup::ActPass);

    // Firefox has its fingerprint and trickle at the session level.
    let offer = Offer::parse(fixture!("firefox-offer-audio")).expect("a recorded offer");
    let firefox = jsep::read_offer(&offer).expect("audio").transport;
    assert_eq!(firefox.fingerprints.len(), 1);
    assert_eq!(firefox.fingerprints[0].hash, "sha-256");
    assert_eq!(firefox.fingerprints[0].value.len(), 32);
    assert!(firefox.trickle && firefox.end_of_candidates);
    // Half of its eight candidates are for RTCP on a port of its own.
    assert_eq!(firefox.candidates.len(), 4);
}

#[test]
fn an_offer_before_gathering_has_no_candidates() {
    for text in [
        fixture!("chromium-offer-trickle"),
        fixture!("firefox-offer-trickle"),
    ] {
        let offer = jsep::read_offer(&Offer::parse(text).expect("recorded")).expect("audio");
        assert!(offer.transport.candidates.is_empty());
        assert!(offer.transport.trickle && !offer.transport.end_of_candidates);
    }
}

#[test]
fn the_answers_direction_is_what_both_want() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (said, wanted, expected) in [
        ("sendrecv", SendRecv, SendRecv),
        ("sendrecv", RecvOnly, RecvOnly),
        ("sendonly", SendRecv, RecvOnly),
        ("recvonly", SendRecv, SendOnly),
        ("recvonly", RecvOnly, Inactive),
        ("inactive", SendRecv, Inactive),
    ] {
        let text = fixture!("chromium-offer-audio").replace("a=sendrecv", &format!("a={said}"));
        let offer = jsep::read_offer(&Offer::parse(text).expect("parses")).expect("audio");
        let policy = BrowserPolicy::default();
        let (answer, format) =
            jsep::answer(&offer, &local(), &policy, None, 8_000, SESSION, wanted)
                .expect("a common codec");
        assert_eq!(format.direction, expected, "{said} met {wanted:?}");
        let text = answer.to_string();
        assert!(
            text.contains(&format!("a={}\r\n", expected.attribute())),
            "{text}"
        );
        // The line stays alive whatever the direction: only port 0 would end it.
        assert!(!text.contains("m=audio 0 "), "{text}");
    }
}

#[test]
fn the_dtls_role_is_the_server_where_we_may_choose_and_never_changes_after() {
    let role = |theirs: &str, ours: Setup| {
        let text = fixture!("chromium-offer-audio").replace("actpass", theirs);
        let offer = jsep::read_offer(&Offer::parse(text).expect("parses")).expect("audio");
        let local = IceDtlsParameters {
            setup: ours,
            ..local()
        };
        let policy = BrowserPolicy::default();
        let (answer, _) = jsep::answer(
            &offer,
            &local,
            &policy,
            None,
            8_000,
            SESSION,
            Direction::SendRecv,
        )
        .expect("a common codec");
        let text = answer.to_string();
        let at = text.find("a=setup:").expect("a setup line") + "a=setup:".len();
        text[at..].lines().next().expect("a value").to_owned()
    };
    assert_eq!(role("actpass", Setup::ActPass), "passive");
    assert_eq!(role("active", Setup::ActPass), "passive");
    assert_eq!(role("passive", Setup::ActPass), "active");
    // Whatever we would have chosen, an offer that names its role leaves us the other one.
    assert_eq!(role("active", Setup::Active), "passive");
    assert_eq!(role("active", Setup::Passive), "passive");
    assert_eq!(role("passive", Setup::Active), "active");
    assert_eq!(role("passive", Setup::Passive), "active");
    // Chosen once, the role stays when the browser leaves it open again.
    assert_eq!(role("actpass", Setup::Active), "active");
    assert_eq!(role("actpass", Setup::Passive), "passive");
}

#[test]
fn our_offer_is_answered_by_chromium_and_firefox() {
    let offer = jsep::offer(&local(), &BrowserPolicy::default(), 8_000, SESSION);
    assert_description!("browser-offer", offer.offer);

    let answer = Answer::parse(fixture!("chromium-answer")).expect("a recorded answer");
    let (transport, format) = jsep::accept_answer(&offer, &answer).expect("accepted");
    assert_eq!(transport.setup, Setup::Active);
    assert_eq!(transport.ufrag, "FPRD");
    assert_eq!(format.send.codec, Codec::Opus);
    assert_eq!(format.send_events, Some(event(110, 48_000)));

    let answer = Answer::parse(fixture!("firefox-answer")).expect("a recorded answer");
    let (transport, format) = jsep::accept_answer(&offer, &answer).expect("accepted");
    assert_eq!(transport.setup, Setup::Active);
    // Names that only the browser's machine knows are handed on as they are.
    assert!(transport.candidates[0].contains(".local "));
    assert_eq!(format.send_events, Some(event(126, 8_000)));
    assert_eq!(
        format.receive_events,
        [event(110, 48_000), event(126, 8_000)]
    );
}

#[test]
fn a_browser_that_answers_with_one_codec_may_still_send_any_that_we_offered() {
    let offer = jsep::offer(&local(), &BrowserPolicy::default(), 8_000, SESSION);
    let text = fixture!("chromium-answer").replace("111 0 8 110 126", "111 110");
    let answer = Answer::parse(text).expect("parses");
    let (_, format) = jsep::accept_answer(&offer, &answer).expect("accepted");
    assert_eq!(
        format.receive,
        [
            received(Codec::Opus, 111),
            received(Codec::Pcmu, 0),
            received(Codec::Pcma, 8)
        ]
    );
}

#[test]
fn another_fmtp_costs_no_codec() {
    let text = fixture!("chromium-offer-audio").replace(
        "minptime=10;useinbandfec=1",
        "minptime=3;maxplaybackrate=16000;useinbandfec=0;x=y;cbr=1",
    );
    let (_, format) = answer(&text, 8_000);
    assert_eq!(format.send.codec, Codec::Opus);
    assert_eq!(format.send.opus.max_playback_rate, 16_000);
    assert!(!format.send.opus.inband_fec && format.send.opus.constant_bitrate);
}

#[test]
fn an_audio_line_that_lives_on_anothers_transport_is_found() {
    // A page with `bundlePolicy: "max-bundle"` and its camera first.
    let text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v a\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtcp-mux\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n\
        a=fingerprint:sha-256 AB:CD\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n\
        m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=bundle-only\r\n\
        a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";
    let offer = jsep::read_offer(&Offer::parse(text).expect("parses")).expect("audio");
    assert_eq!(offer.transport.ufrag, "abcd");
    assert_eq!(offer.transport.candidates.len(), 1);
    let (answer, _) = answer(text, 8_000);
    let text = answer.to_string();
    assert!(text.contains("a=group:BUNDLE a\r\n"), "{text}");
    assert!(
        text.find("m=video 0 ") < text.find("m=audio 7000 "),
        "{text}"
    );
}

#[test]
fn each_defect_has_its_error() {
    let good = fixture!("chromium-offer-audio");
    let read = |text: String| Offer::parse(text).and_then(|offer| jsep::read_offer(&offer));
    let without = |name: &str| {
        good.split_inclusive("\r\n")
            .filter(|line| !line.starts_with(name))
            .collect::<String>()
    };
    assert_eq!(read(without("a=fingerprint")), Err(Error::NoFingerprint));
    assert_eq!(read(without("a=ice-ufrag")), Err(Error::NoIceCredentials));
    assert_eq!(read(without("a=ice-pwd")), Err(Error::NoIceCredentials));
    assert_eq!(read(without("a=rtcp-mux")), Err(Error::NoRtcpMux));
    assert_eq!(
        read(good.replace("m=audio", "m=video")),
        Err(Error::NoAudio)
    );
    assert_eq!(
        read(good.replace("m=audio 39689", "m=audio 0")),
        Err(Error::NoAudio)
    );
    assert_eq!(
        read(good.replace("111 63 9 0 8 13", "63 9 13")),
        Err(Error::NoCommonCodec(
            "red/48000/2, G722/8000, CN/8000, telephone-event/48000, telephone-event/8000".into()
        ))
    );
    assert_eq!(
        read(good.replace("a=ice-pwd:HIJlJ2", "a=ice-pwd:H J")),
        Err(Error::NoIceCredentials)
    );
    assert!(matches!(
        read(good.replace("sha-256 BC", "sha-256 XX")),
        Err(Error::MalformedFingerprint(_))
    ));
    assert_eq!(
        read(good.replace("actpass", "holdconn")),
        Err(Error::UnsupportedSetup("holdconn".into()))
    );
    assert_eq!(
        read(good.replace("v=0", "v=1")).map_err(|error| error.to_string()),
        Err("malformed session description, line 1: version is not 0".into())
    );
    assert_eq!(read(good.replace("t=0 0", "t=now")), read(good.to_owned()));
    assert_eq!(
        read(format!("{good}{}", "a=x\r\n".repeat(20_000))),
        Err(Error::TooLong(good.len() + 100_000))
    );

    let policy = BrowserPolicy {
        codecs: vec![Codec::Pcma],
        ..BrowserPolicy::default()
    };
    let offer = read(good.replace("111 63 9 0 8 13", "111 0")).expect("audio");
    assert_eq!(
        jsep::answer(
            &offer,
            &local(),
            &policy,
            None,
            8_000,
            SESSION,
            Direction::SendRecv
        )
        .map(|_| ()),
        Err(Error::NoCommonCodec("opus, PCMU".into()))
    );
}

#[test]
fn each_defect_of_an_answer_has_its_error() {
    let offer = jsep::offer(&local(), &BrowserPolicy::default(), 8_000, SESSION);
    let good = fixture!("chromium-answer");
    let accept = |text: String| {
        Answer::parse(text)
            .and_then(|answer| jsep::accept_answer(&offer, &answer))
            .map(|_| ())
    };
    assert_eq!(accept(good.into()), Ok(()));
    assert_eq!(
        accept(good.replace("m=audio 33836", "m=audio 0")),
        Err(Error::AudioRejected)
    );
    assert_eq!(
        accept(good.replace("setup:active", "setup:actpass")),
        Err(Error::UnsupportedSetup("actpass".into()))
    );
    assert_eq!(
        accept(good.replace("111 0 8 110", "110")),
        Err(Error::NoCommonCodec(
            "telephone-event/48000, telephone-event/8000".into()
        ))
    );
}
