//! Bytes as a description, from either side, as offer and as answer, by trunks with SRTP and
//! without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::codec::Direction;
use trunkline::sdp::{
    Answer, BrowserPolicy, IceDtlsParameters, KeySeed, LocalMedia, Offer, RtpFamilies, SessionIds,
    Setup, SrtpMode, TrunkPolicy, connection_names, jsep, offer_answer, with_addresses,
};

fuzz_target!(|bytes: &[u8]| {
    let session = SessionIds::new(1);
    let local = IceDtlsParameters {
        ufrag: "abcdefgh".into(),
        pwd: "abcdefghabcdefghabcdefgh".into(),
        lite: false,
        trickle: true,
        fingerprints: Vec::new(),
        setup: Setup::ActPass,
        candidates: vec!["candidate:1 1 udp 1 192.0.2.1 4000 typ host".into()],
        end_of_candidates: false,
    };
    let address = LocalMedia::new(
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
            if let Ok(read) = jsep::read_offer(&offer)
                && let Ok((answer, _)) =
                    jsep::answer(&read, &local, &browsers, None, 8_000, session, both)
            {
                Answer::parse(answer.to_string()).expect("our answer is a description");
            }
            if let Ok(read) = offer_answer::read_offer(&offer, &trunk)
                && let Ok((answer, _, _)) =
                    offer_answer::answer(&read, address, &trunk, session, both)
            {
                Answer::parse(answer.to_string()).expect("our answer is a description");
            }
        }
        if let Ok(answer) = Answer::parse(bytes) {
            let ours = jsep::offer(&local, &browsers, 8_000, session);
            let _ = jsep::accept_answer(&ours, &answer);
            let ours = offer_answer::offer(address, &trunk, session, both);
            let _ = offer_answer::read_answer(&ours, &answer);
        }
    }
});
