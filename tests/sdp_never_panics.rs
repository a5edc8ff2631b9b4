//! Whatever bytes arrive as a description: an answer or an error, and what we write of it is
//! a description again.

use proptest::prelude::*;

use trunkline::codec::Direction;
use trunkline::sdp::{
    Answer, BrowserPolicy, IceDtlsParameters, KeySeed, LocalMedia, Offer, SessionIds, Setup,
    SrtpMode, TrunkPolicy, jsep, offer_answer,
};

const FIXTURES: [&str; 9] = [
    include_str!("fixtures/sdp/chromium-offer-video.sdp"),
    include_str!("fixtures/sdp/chromium-answer.sdp"),
    include_str!("fixtures/sdp/firefox-offer-video.sdp"),
    include_str!("fixtures/sdp/firefox-answer.sdp"),
    include_str!("fixtures/sdp/asterisk-offer.sdp"),
    include_str!("fixtures/sdp/asterisk-answer-opus.sdp"),
    include_str!("fixtures/sdp/asterisk-offer-hold.sdp"),
    include_str!("fixtures/sdp/asterisk-answer.sdp"),
    WITH_KEYS,
];

const WITH_KEYS: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/SAVP 0\r\n\
    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n\
    a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^31 WSH=64\r\n\
    a=crypto:3 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==\r\n";

/// Takes the text for each of the four things that it may be, by trunks with SRTP and without.
fn take(text: &[u8]) {
    for srtp in [SrtpMode::Off, SrtpMode::Optional, SrtpMode::Required] {
        take_by(text, srtp);
    }
}

fn take_by(text: &[u8], srtp: SrtpMode) {
    let session = SessionIds::new(1);
    let local = IceDtlsParameters {
        ufrag: "abcdefgh".into(),
        pwd: "abcdefghabcdefghabcdefgh".into(),
        lite: false,
        trickle: true,
        fingerprints: Vec::new(),
        setup: Setup::ActPass,
        candidates: vec!["candidate:".into(), "candidate:1 1 udp 1 x y z".into()],
        end_of_candidates: false,
    };
    let address = LocalMedia::new(
        "192.0.2.1:4000".parse().expect("an address"),
        KeySeed::new([3; 32]),
    );
    let browsers = BrowserPolicy::default();
    let trunk = TrunkPolicy {
        srtp,
        ..TrunkPolicy::default()
    };
    let both = Direction::SendRecv;

    if let Ok(offer) = Offer::parse(text) {
        if let Ok(offer) = jsep::read_offer(&offer)
            && let Ok((answer, format)) =
                jsep::answer(&offer, &local, &browsers, None, 8_000, session, both)
        {
            assert!(!format.receive.is_empty());
            Answer::parse(answer.to_string()).expect("our answer is a description");
        }
        if let Ok(offer) = offer_answer::read_offer(&offer, &trunk)
            && let Ok((answer, _, format)) =
                offer_answer::answer(&offer, address, &trunk, session, both)
        {
            assert!((10..=60).contains(&format.send.ptime));
            Answer::parse(answer.to_string()).expect("our answer is a description");
            let ours = offer.reversed(address, &trunk, &format, session, both);
            Offer::parse(ours.offer.to_string()).expect("our offer is a description");
        }
    }
    if let Ok(answer) = Answer::parse(text) {
        let ours = jsep::offer(&local, &browsers, 8_000, session);
        let _ = jsep::accept_answer(&ours, &answer);
        let ours = offer_answer::offer(address, &trunk, session, both);
        let _ = offer_answer::read_answer(&ours, &answer);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        take(&bytes);
    }

    #[test]
    fn any_lines(lines in proptest::collection::vec("(v=0|[a-z]=.{0,40}|m=audio [0-9/]{1,6} RTP/S?AVP.{0,12}|a=crypto:[0-9]{1,3} (AES_CM_128_HMAC_SHA1_(80|32)|AEAD_AES_128_GCM) inline:[A-Za-z0-9+/=|^;: ]{0,60}|c=IN IP[46] [0-9a-f.:/]{0,16}|a=(rtpmap|fmtp|rtcp|group|candidate|fingerprint|setup|ice-pwd|ptime|maxptime):.{0,30})", 0..30)) {
        take(format!("v=0\r\n{}", lines.join("\r\n")).as_bytes());
    }

    /// A recorded description with some of its bytes changed, cut or repeated.
    #[test]
    fn a_damaged_description(
        which in 0..FIXTURES.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        repeat in 1..4_usize,
    ) {
        let mut bytes = FIXTURES[which].as_bytes().to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        take(&bytes);
        let tail = bytes.split_off(cut.index(bytes.len()));
        take(&bytes);
        for _ in 0..repeat {
            bytes.extend_from_slice(&tail);
        }
        take(&bytes);
    }

    /// The same with whole lines dropped, doubled or moved: what a hostile page would write.
    #[test]
    fn a_shuffled_description(
        which in 0..FIXTURES.len(),
        picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..80),
    ) {
        let lines: Vec<&str> = FIXTURES[which].lines().collect();
        let picked: Vec<&str> = picks.iter().map(|pick| *pick.get(&lines)).collect();
        take(format!("v=0\r\n{}\r\n", picked.join("\r\n")).as_bytes());
    }
}
