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
