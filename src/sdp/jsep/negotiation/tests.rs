//! Every transition of RFC 9429 section 3.2 that a session without provisional answers has, and the
//! ones that are refused.

use super::*;
use crate::sdp::{Fingerprint, MediaKind, Setup};

const SESSION: SessionIds = SessionIds::new(1);

fn transport() -> IceDtlsParameters {
    IceDtlsParameters {
        ufrag: "ufrag".into(),
        pwd: "0123456789012345678901".into(),
        lite: false,
        trickle: true,
        fingerprints: vec![Fingerprint {
            hash: "sha-256".into(),
            value: vec![7; 32],
        }],
        setup: Setup::ActPass,
        candidates: Vec::new(),
        end_of_candidates: false,
    }
}

fn audio(mid: &str, setup: &str, formats: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=rtcp-mux\r\n\
         a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 01:02\r\n\
         a=setup:{setup}\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:111 opus/48000/2\r\n"
    )
}

const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 100\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\n";

fn description(sections: &[&str]) -> String {
    let session = "v=0\r\no=- 5 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    format!("{session}{}", sections.concat())
}

fn browser_offer(sections: &[&str]) -> Offer {
    Offer::parse(description(sections)).expect("an offer")
}

fn browser_answer(formats: &str) -> Answer {
    Answer::parse(description(&[&audio("0", "active", formats)])).expect("an answer")
}

impl Negotiation {
    fn offers(&mut self) -> Result<String, Error> {
        self.create_offer(&transport(), &BrowserPolicy::default(), 48_000, SESSION)
            .map(ToString::to_string)
    }

    fn answers(&mut self, policy: &BrowserPolicy) -> Result<String, Error> {
        self.create_answer(&AnswerParameters {
            transport: &transport(),
            policy,
            preferred: None,
            audio_rate: 48_000,
            session: SESSION,
            direction: Direction::SendRecv,
        })
        .map(|answer| answer.to_string())
    }

    fn is_offered(&mut self, sections: &[&str]) -> Result<(), Error> {
        self.set_remote_offer(&browser_offer(sections)).map(drop)
    }
}

/// After an offer of the browser with video before the audio, and our answer.
fn answered() -> Negotiation {
    let mut negotiation = Negotiation::new();
    negotiation
        .is_offered(&[VIDEO, &audio("a", "actpass", "96 0")])
        .expect("an offer");
    negotiation
        .answers(&BrowserPolicy::default())
        .expect("an answer");
    negotiation
}

#[test]
fn local_offer_and_its_answer() {
    let mut negotiation = Negotiation::new();
    assert_eq!(negotiation.state(), SignalingState::Stable);
    negotiation.offers().expect("an offer");
    assert_eq!(negotiation.state(), SignalingState::HaveLocalOffer);
    assert_eq!(negotiation.audio_format(), None);
    assert!(negotiation.sections().is_empty());
    let remote = negotiation
        .accept_answer(&browser_answer("111"))
        .expect("an answer");
    assert_eq!(remote.ufrag, "abcd");
    assert_eq!(negotiation.state(), SignalingState::Stable);
    let format = negotiation.audio_format().expect("audio");
    assert_eq!(format.send.codec, Codec::Opus);
    let [section] = negotiation.sections() else {
        panic!("{:?}", negotiation.sections());
    };
    assert_eq!(section.mid.as_deref(), Some("0"));
    assert_eq!(section.direction, Direction::SendRecv);
}

#[test]
fn remote_offer_and_our_answer() {
    let mut negotiation = Negotiation::new();
    negotiation
        .is_offered(&[VIDEO, &audio("a", "actpass", "96 0")])
        .expect("an offer");
    assert_eq!(negotiation.state(), SignalingState::HaveRemoteOffer);
    assert!(negotiation.remote_offer().is_some());
    assert_eq!(negotiation.audio_format(), None);
    let answer = negotiation
        .answers(&BrowserPolicy::default())
        .expect("an answer");
    assert!(
        answer.contains("m=video 0 UDP/TLS/RTP/SAVPF 100\r\n"),
        "{answer}"
    );
    assert_eq!(negotiation.state(), SignalingState::Stable);
    let [video, audio] = negotiation.sections() else {
        panic!("{:?}", negotiation.sections());
    };
    assert_eq!((&video.kind, &video.format), (&MediaKind::Video, &None));
    assert_eq!(video.direction, Direction::Inactive);
    assert_eq!(audio.mid.as_deref(), Some("a"));
    assert_eq!(audio.format.as_ref(), negotiation.audio_format());
}

#[test]
fn offer_while_one_is_open_is_refused() {
    let opus = audio("0", "actpass", "96");
    let mut ours = Negotiation::new();
    ours.offers().expect("an offer");
    assert_eq!(ours.offers(), Err(Error::OfferPending));
    assert_eq!(ours.is_offered(&[&opus]), Err(Error::OfferPending));
    assert_eq!(ours.state(), SignalingState::HaveLocalOffer);
    let mut theirs = Negotiation::new();
    theirs.is_offered(&[&opus]).expect("an offer");
    assert_eq!(theirs.offers(), Err(Error::OfferPending));
    assert_eq!(theirs.is_offered(&[&opus]), Err(Error::OfferPending));
    assert_eq!(theirs.state(), SignalingState::HaveRemoteOffer);
}

#[test]
fn answer_without_its_offer_is_refused() {
    let policy = BrowserPolicy::default();
    let mut negotiation = answered();
    for _ in 0..2 {
        let remote = negotiation.accept_answer(&browser_answer("111"));
        assert_eq!(remote.map(drop), Err(Error::NoOffer));
        assert_eq!(negotiation.answers(&policy), Err(Error::NoOffer));
        assert_eq!(negotiation.rollback(), Err(Error::NoOffer));
    }
    let mut ours = Negotiation::new();
    ours.offers().expect("an offer");
    assert_eq!(ours.answers(&policy), Err(Error::NoOffer));
    assert_eq!(ours.state(), SignalingState::HaveLocalOffer);
    let mut theirs = Negotiation::new();
    let opus = audio("0", "actpass", "96");
    theirs.is_offered(&[&opus]).expect("an offer");
    let remote = theirs.accept_answer(&browser_answer("111"));
    assert_eq!(remote.map(drop), Err(Error::NoOffer));
    assert_eq!(theirs.state(), SignalingState::HaveRemoteOffer);
}

#[test]
fn rollback_keeps_the_current_sections() {
    let mut negotiation = answered();
    let before = negotiation.sections().to_vec();
    negotiation.offers().expect("an offer");
    assert_eq!(negotiation.rollback(), Ok(()));
    assert_eq!(negotiation.state(), SignalingState::Stable);
    negotiation
        .is_offered(&[VIDEO, &audio("a", "actpass", "96")])
        .expect("an offer");
    assert_eq!(negotiation.rollback(), Ok(()));
    assert_eq!(negotiation.state(), SignalingState::Stable);
    assert_eq!(negotiation.sections(), before);
}

#[test]
fn unusable_description_changes_no_state() {
    let mut negotiation = Negotiation::new();
    let unknown = negotiation.is_offered(&[&audio("0", "actpass", "18")]);
    assert!(
        matches!(unknown, Err(Error::NoCommonCodec(_))),
        "{unknown:?}"
    );
    assert_eq!(negotiation.state(), SignalingState::Stable);
    negotiation
        .is_offered(&[&audio("0", "actpass", "96")])
        .expect("an offer");
    let pcma = BrowserPolicy {
        codecs: vec![Codec::Pcma],
        ..BrowserPolicy::default()
    };
    assert!(negotiation.answers(&pcma).is_err());
    assert_eq!(negotiation.state(), SignalingState::HaveRemoteOffer);

    let mut ours = Negotiation::new();
    ours.offers().expect("an offer");
    assert!(ours.accept_answer(&browser_answer("18")).is_err());
    assert_eq!(ours.state(), SignalingState::HaveLocalOffer);
    ours.accept_answer(&browser_answer("0")).expect("an answer");
}

#[test]
fn later_offer_of_ours_keeps_places_mids_and_numbers() {
    let mut negotiation = answered();
    let offer = negotiation.offers().expect("an offer");
    let lines: Vec<&str> = offer
        .lines()
        .filter(|line| line.starts_with("m="))
        .collect();
    assert_eq!(
        lines,
        [
            "m=video 0 UDP/TLS/RTP/SAVPF 100",
            "m=audio 9 UDP/TLS/RTP/SAVPF 96 0"
        ]
    );
    assert!(
        offer.contains("a=mid:v\r\n") && offer.contains("a=mid:a\r\n"),
        "{offer}"
    );
    assert!(offer.contains("a=group:BUNDLE a\r\n"), "{offer}");
}

#[test]
fn later_offer_of_the_browser_keeps_its_sections_in_place() {
    let mut negotiation = answered();
    let audio = |mid: &str| audio(mid, "actpass", "96");
    for moved in [
        &[audio("a").as_str()][..],
        &[&audio("a"), VIDEO],
        &[VIDEO, &audio("b")],
    ] {
        assert_eq!(negotiation.is_offered(moved), Err(Error::SectionsMoved));
        assert_eq!(negotiation.state(), SignalingState::Stable);
    }
    // A rejected section may become another one, and sections may be added.
    let reused = VIDEO.replace("a=mid:v", "a=mid:w");
    negotiation
        .is_offered(&[&reused, &audio("a"), VIDEO])
        .expect("an offer");
    negotiation
        .answers(&BrowserPolicy::default())
        .expect("an answer");
    assert_eq!(negotiation.sections().len(), 3);
}
