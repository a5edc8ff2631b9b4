//! Whatever bytes arrive as a description: an answer or an error, and what we write of it is
//! a description again.

use proptest::prelude::*;

use trunkline::codec::Direction;
use trunkline::sdp::{
    Answer, BrowserPolicy, Description, Offer, SessionIds, Setup, TrunkPolicy, browser, pbx,
};

const FIXTURES: [&str; 8] = [
    include_str!("fixtures/sdp/chromium-offer-video.sdp"),
    include_str!("fixtures/sdp/chromium-answer.sdp"),
    include_str!("fixtures/sdp/firefox-offer-video.sdp"),
    include_str!("fixtures/sdp/firefox-answer.sdp"),
    include_str!("fixtures/sdp/asterisk-offer.sdp"),
    include_str!("fixtures/sdp/asterisk-answer-opus.sdp"),
    include_str!("fixtures/sdp/asterisk-offer-hold.sdp"),
    include_str!("fixtures/sdp/asterisk-answer.sdp"),
];

/// Takes the text for each of the four things that it may be.
fn take(text: &[u8]) {
    let session = SessionIds::new(1);
    let local = Description {
        ufrag: "abcdefgh".into(),
        pwd: "abcdefghabcdefghabcdefgh".into(),
        lite: false,
        trickle: true,
        fingerprints: Vec::new(),
        setup: Setup::ActPass,
        candidates: vec!["candidate:".into(), "candidate:1 1 udp 1 x y z".into()],
        end_of_candidates: false,
    };
    let address = "192.0.2.1:4000".parse().expect("an address");
    let browsers = BrowserPolicy::default();
    let trunk = TrunkPolicy::default();
    let both = Direction::SendRecv;

    if let Ok(offer) = Offer::parse(text) {
        if let Ok(offer) = browser::read_offer(&offer)
            && let Ok((answer, format)) =
                browser::answer(&offer, &local, &browsers, None, true, session, both)
        {
            assert!(!format.receive.is_empty());
            Answer::parse(answer.to_string()).expect("our answer is a description");
        }
        if let Ok(offer) = pbx::read_offer(&offer)
            && let Ok((answer, _, format)) = pbx::answer(&offer, address, &trunk, session, both)
        {
            assert!((10..=60).contains(&format.send.ptime));
            Answer::parse(answer.to_string()).expect("our answer is a description");
            let ours = offer.turned(address, &format, session, both);
            Offer::parse(ours.offer.to_string()).expect("our offer is a description");
        }
    }
    if let Ok(answer) = Answer::parse(text) {
        let ours = browser::offer(&local, &browsers, true, session);
        let _ = browser::accept_answer(&ours, &answer);
        let ours = pbx::offer(address, &trunk, session, both);
        let _ = pbx::read_answer(&ours, &answer);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        take(&bytes);
    }

    #[test]
    fn any_lines(lines in proptest::collection::vec("(v=0|[a-z]=.{0,40}|m=audio [0-9/]{1,6} RTP/AVP.{0,12}|c=IN IP[46] [0-9a-f.:/]{0,16}|a=(rtpmap|fmtp|rtcp|group|candidate|fingerprint|setup|ice-pwd|ptime|maxptime):.{0,30})", 0..30)) {
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
