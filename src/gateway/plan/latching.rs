//! What one `[[trunk]]` says of RTP: whose is taken, where it goes, the clocks of its digits.

use std::time::Duration;

use super::unusable;
use crate::media;
use crate::settings::{self, Error};

/// Whose RTP is taken, and where audio goes.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<media::Latching, Error> {
    let sources = match trunk.rtp_sources.as_str() {
        "sdp" => media::RtpSources::Sdp,
        "peer" => media::RtpSources::Peer,
        "heard" => media::RtpSources::Heard,
        "any" => media::RtpSources::Any,
        other => {
            let key = format!("trunk[{index}].rtp_sources");
            return Err(unusable(key, other, "sdp, peer, heard or any"));
        }
    };
    Ok(media::Latching {
        symmetric: trunk.symmetric_rtp,
        sources,
        after: Duration::from_secs(trunk.rtp_latch_after),
        heard_after: Duration::from_secs(trunk.rtp_heard_after),
    })
}

/// The clocks that telephone events have with a trunk.
pub(super) fn event_clocks(index: usize, clocks: &[u32]) -> Result<Vec<u32>, Error> {
    let unknown = clocks
        .iter()
        .find(|clock| ![8_000, 48_000].contains(*clock));
    if clocks.is_empty() || unknown.is_some() {
        let key = format!("trunk[{index}].telephone_event_clocks");
        let expected = "8000, 48000 or both, in a list";
        return Err(unusable(key, &format!("{clocks:?}"), expected));
    }
    Ok(clocks.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_sources_are_read_and_what_is_none_is_named() {
        let trunk = |sources: &str| settings::Trunk {
            rtp_sources: sources.to_owned(),
            rtp_heard_after: 3,
            ..settings::Trunk::default()
        };
        for (text, sources) in [
            ("sdp", media::RtpSources::Sdp),
            ("peer", media::RtpSources::Peer),
            ("heard", media::RtpSources::Heard),
            ("any", media::RtpSources::Any),
        ] {
            let policy = policy(0, &trunk(text)).expect("it is one");
            assert_eq!(policy.sources, sources);
            assert_eq!(policy.heard_after, Duration::from_secs(3));
        }
        let error = policy(1, &trunk("all"))
            .expect_err("it is none")
            .to_string();
        assert!(error.contains("trunk[1].rtp_sources"), "{error}");
        assert!(error.contains("sdp, peer, heard or any"), "{error}");
    }

    #[test]
    fn default_of_a_trunk_is_the_default_of_the_media() {
        let policy = policy(0, &settings::Trunk::default()).expect("usable");
        assert_eq!(policy, media::Latching::default());
    }

    #[test]
    fn event_clocks_are_8000_and_48000_in_any_order() {
        for clocks in [&[8_000][..], &[48_000], &[8_000, 48_000], &[48_000, 8_000]] {
            assert_eq!(event_clocks(0, clocks).expect("usable"), clocks);
        }
        for clocks in [&[][..], &[16_000], &[8_000, 0]] {
            let error = event_clocks(2, clocks).expect_err("unusable").to_string();
            assert!(error.contains("trunk[2].telephone_event_clocks"), "{error}");
        }
    }
}
