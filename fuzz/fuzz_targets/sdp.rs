//! Bytes as a description, from either side, as offer and as answer, by trunks with SRTP and
//! without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::codec::Direction;
use trunkline::sdp::{
    Answer, BrowserPolicy, Description, KeySeed, LocalRtp, Offer, RtpFamilies, SessionIds, Setup, SrtpMode,
    TrunkPolicy, browser, connection_names, pbx, with_addresses,
};

fuzz_target!(|bytes: &[u8]| {
    let session = SessionIds::new(1);
    let local = Description {
        ufrag: "abcdefgh".into(),
        pwd: "abcdefghabcdefghabcdefgh".into(),
        lite: false,
        trickle: true,
        fingerprints: Vec::new(),
        setup: Setup::ActPass,
        candidates: vec!["candidate:1 1 udp 1 192.0.2.1 4000 typ host".into()],
        end_of_candidates: false,
    };
    let address = LocalRtp::new(
        "192.0.2.1:4000".parse().expect("an address"),
        KeySeed::new([3; 32]),
    );
    let browsers = BrowserPolicy::default();
    let both = Direction::SendRecv;
    let found: Vec<_> = connection_names(bytes)
        .into_iter()
        .map(|name| (name, "192.0.2.1".parse().expect("an address")))
        .collect();
    let resolved = with_addresses(bytes, &found);
    // Bytes that are not UTF-8 become longer.
    if bytes.len() < trunkline::sdp::MAX_LENGTH / 4 {
        assert_eq!(Offer::parse(bytes).is_ok(), Offer::parse(&resolved).is_ok());
    }
    for srtp in [SrtpMode::Off, SrtpMode::Optional, SrtpMode::Required] {
        let trunk = TrunkPolicy {
            srtp,
            families: RtpFamilies::of("192.0.2.1".parse().expect("an address")),
            ..TrunkPolicy::default()
        };
        if let Ok(offer) = Offer::parse(bytes) {
            if let Ok(read) = browser::read_offer(&offer)
                && let Ok((answer, _)) =
                    browser::answer(&read, &local, &browsers, None, true, session, both)
            {
                Answer::parse(answer.to_string()).expect("our answer is a description");
            }
            if let Ok(read) = pbx::read_offer(&offer, &trunk)
                && let Ok((answer, _, _)) = pbx::answer(&read, address, &trunk, session, both)
            {
                Answer::parse(answer.to_string()).expect("our answer is a description");
            }
        }
        if let Ok(answer) = Answer::parse(bytes) {
            let ours = browser::offer(&local, &browsers, true, session);
            let _ = browser::accept_answer(&ours, &answer);
            let ours = pbx::offer(address, &trunk, session, both);
            let _ = pbx::read_answer(&ours, &answer);
        }
    }
});
