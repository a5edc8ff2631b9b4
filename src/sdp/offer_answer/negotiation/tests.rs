//! Every transition of the negotiation with the PBX, and the ones that are refused.

use super::*;
use crate::codec::Codec;

const SESSION: SessionIds = SessionIds::new(1);

fn local() -> LocalMedia {
    let address: std::net::SocketAddr = "198.51.100.7:20000".parse().expect("an address");
    address.into()
}

fn text(port: u16, formats: &str, direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\na={direction}\r\n"
    )
}

fn answer_of_pbx(port: u16, direction: &str) -> Answer {
    Answer::parse(text(port, "8", direction)).expect("an answer")
}

fn offer_of_pbx(formats: &str) -> Offer {
    Offer::parse(text(4000, formats, "sendrecv")).expect("an offer")
}

impl Negotiation {
    fn offers(&mut self, offer_in: OfferIn, session: SessionIds) -> Result<String, Error> {
        let policy = TrunkPolicy::default();
        let direction = Direction::SendRecv;
        self.create_offer(offer_in, local(), &policy, session, direction)
            .map(ToString::to_string)
    }

    fn is_offered(&mut self, formats: &str) -> Result<(), Error> {
        self.set_remote_offer(&offer_of_pbx(formats), &TrunkPolicy::default())
            .map(drop)
    }

    fn answers(&mut self) -> Result<Answer, Error> {
        let policy = TrunkPolicy::default();
        self.create_answer(local(), &policy, SESSION.next(), Direction::SendRecv)
    }

    fn port(&self) -> Option<u16> {
        self.remote().map(|remote| remote.address.rtp.port())
    }
}

/// After our offer and the PBX's answer.
fn stable() -> Negotiation {
    let mut negotiation = Negotiation::new();
    negotiation
        .offers(OfferIn::Request, SESSION)
        .expect("an offer");
    negotiation
        .accept_answer(OfferIn::Request, &answer_of_pbx(4000, "sendrecv"))
        .expect("an answer");
    negotiation
}

#[test]
fn local_offer_and_its_answer() {
    for offer_in in [OfferIn::Request, OfferIn::Response] {
        let mut negotiation = Negotiation::new();
        assert_eq!(negotiation.state(), OfferState::Stable);
        negotiation.offers(offer_in, SESSION).expect("an offer");
        assert_eq!(negotiation.state(), OfferState::HaveLocalOffer(offer_in));
        assert!(negotiation.local_offer().is_some());
        assert_eq!(negotiation.remote(), None);
        assert!(negotiation.sections().is_empty());
        let answer = answer_of_pbx(4000, "sendrecv");
        negotiation
            .accept_answer(offer_in, &answer)
            .expect("an answer");
        let format = negotiation.audio_format().expect("audio");
        assert_eq!(format.send.codec, Codec::Pcma);
        assert_eq!(negotiation.state(), OfferState::Stable);
        assert!(!negotiation.is_last_offer_remote());
    }
}

#[test]
fn remote_offer_and_our_answer() {
    let mut negotiation = Negotiation::new();
    negotiation.is_offered("0 8").expect("an offer");
    assert_eq!(negotiation.state(), OfferState::HaveRemoteOffer);
    assert!(negotiation.remote_offer().is_some());
    let answer = negotiation.answers().expect("an answer").to_string();
    assert!(answer.contains("m=audio 20000 RTP/AVP 0\r\n"), "{answer}");
    assert_eq!(negotiation.state(), OfferState::Stable);
    assert!(negotiation.is_last_offer_remote());
    assert_eq!(negotiation.port(), Some(4000));
}

#[test]
fn offer_while_one_is_open_is_glare() {
    let mut ours = stable();
    ours.offers(OfferIn::Request, SESSION.next())
        .expect("an offer");
    assert_eq!(ours.is_offered("0"), Err(Error::OfferPending));
    assert_eq!(
        ours.offers(OfferIn::Response, SESSION.next()),
        Err(Error::OfferPending)
    );
    assert_eq!(
        ours.state(),
        OfferState::HaveLocalOffer(OfferIn::Request),
        "the open one stays open"
    );
    let mut theirs = stable();
    theirs.is_offered("8").expect("an offer");
    assert_eq!(
        theirs.offers(OfferIn::Request, SESSION.next()),
        Err(Error::OfferPending)
    );
    assert_eq!(theirs.is_offered("0"), Err(Error::OfferPending));
    assert_eq!(theirs.state(), OfferState::HaveRemoteOffer);
}

#[test]
fn answer_without_its_offer_is_refused() {
    let answer = answer_of_pbx(4002, "sendrecv");
    let mut negotiation = stable();
    let without = negotiation.accept_answer(OfferIn::Request, &answer);
    assert_eq!(without, Err(Error::NoOffer));
    assert!(matches!(negotiation.answers(), Err(Error::NoOffer)));
    assert_eq!(negotiation.port(), Some(4000));

    // An answer in an ACK is not that of our re-INVITE.
    negotiation
        .offers(OfferIn::Request, SESSION.next())
        .expect("an offer");
    let elsewhere = negotiation.accept_answer(OfferIn::Response, &answer);
    assert_eq!(elsewhere, Err(Error::NoOffer));
    assert!(matches!(negotiation.answers(), Err(Error::NoOffer)));
    assert_eq!(
        negotiation.state(),
        OfferState::HaveLocalOffer(OfferIn::Request)
    );

    let mut theirs = stable();
    theirs.is_offered("8").expect("an offer");
    let ours = theirs.accept_answer(OfferIn::Request, &answer);
    assert_eq!(ours, Err(Error::NoOffer));
    assert_eq!(theirs.state(), OfferState::HaveRemoteOffer);
}

#[test]
fn rejected_offer_leaves_what_was_negotiated() {
    let mut negotiation = stable();
    let before = (
        negotiation.remote().copied(),
        negotiation.sections().to_vec(),
    );
    negotiation
        .offers(OfferIn::Request, SESSION.next())
        .expect("an offer");
    negotiation.reject_offer();
    assert_eq!(negotiation.state(), OfferState::Stable);
    negotiation.is_offered("0").expect("an offer");
    negotiation.reject_offer();
    assert_eq!(negotiation.state(), OfferState::Stable);
    assert_eq!(
        (
            negotiation.remote().copied(),
            negotiation.sections().to_vec()
        ),
        before
    );
    assert!(!negotiation.is_last_offer_remote());
}

#[test]
fn unusable_descriptions_leave_what_was_negotiated() {
    let mut negotiation = stable();
    let before = (
        negotiation.remote().copied(),
        negotiation.sections().to_vec(),
    );
    negotiation
        .offers(OfferIn::Request, SESSION.next())
        .expect("an offer");
    let rejected = negotiation.accept_answer(OfferIn::Request, &answer_of_pbx(0, "sendrecv"));
    assert_eq!(rejected, Err(Error::AudioRejected));
    assert_eq!(negotiation.state(), OfferState::Stable);
    let unknown = negotiation.is_offered("18");
    assert!(
        matches!(unknown, Err(Error::NoCommonCodec(_))),
        "{unknown:?}"
    );
    assert_eq!(negotiation.state(), OfferState::Stable);

    // It can be read, and the trunk may not use its codec.
    let pcma = TrunkPolicy {
        codecs: vec![Codec::Pcma],
        ..TrunkPolicy::default()
    };
    negotiation.is_offered("0").expect("an offer");
    let answered = negotiation.create_answer(local(), &pcma, SESSION.next(), Direction::SendRecv);
    assert!(matches!(answered, Err(Error::NoCommonCodec(_))));
    assert_eq!(negotiation.state(), OfferState::Stable);
    assert_eq!(
        (
            negotiation.remote().copied(),
            negotiation.sections().to_vec()
        ),
        before
    );
}

#[test]
fn next_offer_grows_from_the_last_negotiated_one() {
    let mut negotiation = stable();
    let reoffer = negotiation
        .offers(OfferIn::Request, SESSION.next())
        .expect("an offer");
    assert!(
        reoffer.contains("m=audio 20000 RTP/AVP 0 8 101\r\n"),
        "{reoffer}"
    );
    negotiation.reject_offer();
    // The PBX has no PCMA.
    negotiation.is_offered("0").expect("an offer");
    negotiation.answers().expect("an answer");
    let reversed = negotiation
        .offers(OfferIn::Request, SESSION.next().next())
        .expect("an offer");
    assert!(
        reversed.contains("m=audio 20000 RTP/AVP 0\r\n"),
        "{reversed}"
    );
}

#[test]
fn refresh_changes_media_only_where_the_answer_differs() {
    let mut negotiation = stable();
    let refresh = |negotiation: &mut Negotiation, answer: &Answer| {
        let policy = TrunkPolicy::default();
        negotiation.refresh(answer, local(), &policy, SESSION, Direction::SendRecv)
    };
    assert!(!refresh(&mut negotiation, &answer_of_pbx(4000, "sendrecv")));
    assert!(!refresh(&mut negotiation, &answer_of_pbx(0, "sendrecv")));
    assert!(refresh(&mut negotiation, &answer_of_pbx(4002, "sendrecv")));
    assert_eq!(negotiation.port(), Some(4002));
    negotiation.is_offered("8").expect("an offer");
    negotiation.answers().expect("an answer");
    assert!(refresh(&mut negotiation, &answer_of_pbx(4006, "sendonly")));
    assert_eq!(negotiation.port(), Some(4006));
    let mut new = Negotiation::new();
    assert!(!refresh(&mut new, &answer_of_pbx(4000, "sendrecv")));
}
