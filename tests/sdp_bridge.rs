//! The codec decisions that join a browser's side with a PBX's.

use std::net::SocketAddr;

use trunkline::codec::{AudioFormat, Codec, Direction};
use trunkline::sdp::{
    Answer, BrowserOffer, BrowserPolicy, Error, Fingerprint, IceDtlsParameters, MediaKind, Offer,
    PbxOffer, SessionIds, Setup, TrunkPolicy, bridge, jsep, offer_answer,
};

use Codec::{Opus, Pcma, Pcmu};

const SESSION: SessionIds = SessionIds { id: 1, version: 1 };

fn chromium() -> BrowserOffer {
    let text = include_str!("fixtures/sdp/chromium-offer-audio.sdp");
    jsep::read_offer(&Offer::parse(text).expect("recorded")).expect("audio")
}

fn asterisk() -> PbxOffer {
    let text = include_str!("fixtures/sdp/asterisk-offer.sdp");
    offer_answer::read_offer(
        &Offer::parse(text).expect("recorded"),
        &TrunkPolicy::default(),
    )
    .expect("audio")
}

fn trunk(codecs: &[Codec], prefer_passthrough: bool) -> TrunkPolicy {
    TrunkPolicy {
        codecs: codecs.to_vec(),
        prefer_passthrough,
        ..TrunkPolicy::default()
    }
}

fn browsers(codecs: &[Codec]) -> BrowserPolicy {
    BrowserPolicy {
        codecs: codecs.to_vec(),
        ..BrowserPolicy::default()
    }
}

/// What holds on the PBX's side after it answered with `codec`.
fn answered_with(codec: Codec) -> AudioFormat {
    let formats = match codec {
        Opus => "107\r\na=rtpmap:107 opus/48000/2",
        Pcmu => "0",
        Pcma => "8",
    };
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {formats}\r\n"
    );
    let local: SocketAddr = "192.0.2.2:4000".parse().expect("an address");
    let offer = offer_answer::offer(
        local,
        &trunk(&Codec::ALL, false),
        SESSION,
        Direction::SendRecv,
    );
    let answer = Answer::parse(text).expect("parses");
    offer_answer::read_answer(&offer, &answer)
        .expect("accepted")
        .1
}

#[test]
fn by_default_the_browser_has_opus_whatever_the_pbx_answers() {
    let policy = browsers(&Codec::ALL);
    let trunk = trunk(&[Pcmu, Pcma], false);
    assert_eq!(
        bridge::browser_codec_is_determined(&chromium(), &policy, &trunk),
        Some(Opus)
    );
    assert_eq!(
        bridge::offer_to_pbx(&chromium(), &policy, &trunk),
        [Pcmu, Pcma]
    );
    for codec in [Pcmu, Pcma] {
        let pbx = answered_with(codec);
        assert_eq!(
            bridge::preferred_browser_codec(&chromium(), &policy, &pbx, &trunk),
            Some(Opus)
        );
    }
    assert_eq!(bridge::audio_rate(&trunk.codecs), 8_000);
}

#[test]
fn with_passthrough_preferred_the_browser_follows_the_pbx() {
    let policy = browsers(&Codec::ALL);
    let trunk = trunk(&[Pcmu, Pcma], true);
    assert_eq!(
        bridge::browser_codec_is_determined(&chromium(), &policy, &trunk),
        None
    );
    for codec in [Pcmu, Pcma] {
        let pbx = answered_with(codec);
        assert_eq!(
            bridge::preferred_browser_codec(&chromium(), &policy, &pbx, &trunk),
            Some(codec)
        );
    }
}

#[test]
fn nothing_to_wait_for_when_every_answer_leads_to_the_same_codec() {
    let determined = |policy: &[Codec], codecs: &[Codec]| {
        bridge::browser_codec_is_determined(&chromium(), &browsers(policy), &trunk(codecs, true))
    };
    // The trunk has one codec, and the browser has it too.
    assert_eq!(determined(&Codec::ALL, &[Pcma]), Some(Pcma));
    // Nothing is shared.
    assert_eq!(determined(&[Opus], &[Pcmu, Pcma]), Some(Opus));
    // Opus passes through; G.711 must be transcoded to Opus: Opus either way.
    assert_eq!(determined(&[Opus], &[Opus, Pcmu]), Some(Opus));
    assert_eq!(determined(&Codec::ALL, &[Opus, Pcmu]), None);
}

#[test]
fn shared_codecs_go_first_to_the_pbx_when_passthrough_is_preferred() {
    let codecs = [Pcma, Opus, Pcmu];
    let offered = |policy: &[Codec], prefer| {
        bridge::offer_to_pbx(&chromium(), &browsers(policy), &trunk(&codecs, prefer))
    };
    assert_eq!(offered(&Codec::ALL, true), codecs);
    assert_eq!(offered(&[Opus], true), [Opus, Pcma, Pcmu]);
    assert_eq!(offered(&[Opus], false), codecs);
}

#[test]
fn a_call_from_the_pbx_mirrors_it() {
    let policy = browsers(&[Opus, Pcmu, Pcma]);
    let g711 = trunk(&[Pcma, Pcmu], true);
    // Asterisk has all three, the trunk's policy allows G.711.
    assert_eq!(
        bridge::common_pbx_codecs(&asterisk(), &g711),
        Ok(vec![Pcma, Pcmu])
    );
    assert_eq!(
        bridge::offer_to_browser(&asterisk(), &policy, &g711),
        [Pcmu, Pcma, Opus]
    );
    assert_eq!(
        bridge::offer_to_browser(&asterisk(), &policy, &trunk(&[Pcma, Pcmu], false)),
        [Opus, Pcmu, Pcma]
    );
    let browser = answered_with(Pcmu);
    assert_eq!(bridge::answer_to_pbx(&browser, &g711), [Pcmu, Pcma]);
    assert_eq!(
        bridge::answer_to_pbx(&browser, &trunk(&[Pcma, Pcmu], false)),
        [Pcma, Pcmu]
    );
    // A browser's codec that the trunk does not allow changes nothing.
    assert_eq!(
        bridge::answer_to_pbx(&answered_with(Opus), &g711),
        [Pcma, Pcmu]
    );
}

#[test]
fn browser_is_asked_for_packets_of_the_pbx_where_its_codec_passes_untouched() {
    let asked = |lines: &str, codecs: &[Codec], prefer| {
        let text = format!(
            "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 97 0\r\n\
             a=rtpmap:97 opus/48000/2\r\n{lines}"
        );
        let trunk = trunk(&[Opus, Pcmu], prefer);
        let offer = Offer::parse(text).expect("parses");
        let offer = offer_answer::read_offer(&offer, &trunk).expect("audio");
        bridge::ptime_for_browser(&offer, &browsers(codecs), &trunk)
    };
    assert_eq!(asked("a=ptime:60\r\n", &[Opus, Pcmu], true), 60);
    assert_eq!(asked("a=ptime:60\r\na=maxptime:40\r\n", &[Opus], true), 40);
    assert_eq!(asked("a=maxptime:10\r\n", &[Opus], true), 10);
    // Opus has no frame of 30 ms.
    assert_eq!(asked("a=ptime:30\r\n", &[Opus], true), 20);
    assert_eq!(asked("a=ptime:30\r\n", &[Pcmu], true), 30);
    assert_eq!(asked("", &[Opus], true), 20);
    // Transcoded, the PBX's packets are of our own making.
    assert_eq!(asked("a=ptime:60\r\n", &[Opus], false), 20);
    assert_eq!(asked("a=ptime:60\r\n", &[Pcma], true), 20);
}

#[test]
fn sharing_nothing_with_a_policy_is_an_error_before_anybody_is_called() {
    let offer = Offer::parse(
        include_str!("fixtures/sdp/chromium-offer-audio.sdp").replace("111 63 9 0 8", "111 63 9"),
    )
    .expect("parses");
    let offer = jsep::read_offer(&offer).expect("audio");
    let policy = browsers(&[Pcma]);
    assert_eq!(
        bridge::common_browser_codecs(&offer, &policy),
        Err(Error::NoCommonCodec("opus".into()))
    );
    let trunk = trunk(&[Pcmu], false);
    assert_eq!(
        bridge::browser_codec_is_determined(&offer, &policy, &trunk),
        None
    );
}

/// Of an offer with audio and video, answered.
fn browser_sections() -> jsep::Negotiation {
    let transport = IceDtlsParameters {
        ufrag: "ufrag".into(),
        pwd: "0123456789012345678901".into(),
        lite: false,
        trickle: true,
        fingerprints: vec![Fingerprint {
            hash: "sha-256".into(),
            value: vec![1; 32],
        }],
        setup: Setup::ActPass,
        candidates: Vec::new(),
        end_of_candidates: true,
    };
    let offer = Offer::parse(include_str!("fixtures/sdp/chromium-offer-video.sdp"));
    let mut negotiation = jsep::Negotiation::new();
    negotiation
        .set_remote_offer(&offer.expect("recorded"))
        .expect("audio");
    negotiation
        .create_answer(&jsep::AnswerParameters {
            transport: &transport,
            policy: &browsers(&[Opus]),
            preferred: None,
            audio_rate: 8_000,
            session: SESSION,
            direction: Direction::SendRecv,
        })
        .expect("an answer");
    negotiation
}

#[test]
fn audio_sections_are_joined_wherever_they_stand() {
    let browser = browser_sections();
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8\r\n";
    let mut pbx = offer_answer::Negotiation::new();
    let policy = trunk(&[Pcmu, Pcma], false);
    pbx.set_remote_offer(&Offer::parse(offer).expect("parses"), &policy)
        .expect("audio");
    let open = bridge::joined(browser.sections(), pbx.sections(), &MediaKind::Audio);
    assert_eq!(open, None, "the PBX has no answer yet");
    let address: SocketAddr = "198.51.100.7:20000".parse().expect("an address");
    pbx.create_answer(address.into(), &policy, SESSION, Direction::SendRecv)
        .expect("an answer");
    let kinds = |sections: &[trunkline::sdp::Section]| {
        let kinds = sections.iter().map(|section| section.kind.clone());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(browser.sections()),
        [MediaKind::Audio, MediaKind::Video, MediaKind::Application]
    );
    assert_eq!(kinds(pbx.sections()), [MediaKind::Video, MediaKind::Audio]);
    let joined = bridge::joined(browser.sections(), pbx.sections(), &MediaKind::Audio);
    let (browser_audio, pbx_audio) = joined.expect("audio on both sides");
    assert_eq!(browser_audio.send.codec, Opus);
    assert_eq!(pbx_audio.send.codec, Pcma);
    // Video was rejected on both sides.
    let video = bridge::joined(browser.sections(), pbx.sections(), &MediaKind::Video);
    assert_eq!(video, None);
}
