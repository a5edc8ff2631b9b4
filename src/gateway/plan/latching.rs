//! What one `[[trunk]]` says of RTP: whose is taken, and where it goes.

use std::time::Duration;

use crate::media;
use crate::settings;

/// Whose RTP is taken, and where audio goes.
pub(super) fn policy(trunk: &settings::Trunk) -> media::Latching {
    let written = &trunk.rtp;
    media::Latching {
        symmetric: written.symmetric,
        sources: match written.sources {
            settings::RtpSources::Sdp => media::RtpSources::Sdp,
            settings::RtpSources::Peer => media::RtpSources::Peer,
            settings::RtpSources::Heard => media::RtpSources::Heard,
            settings::RtpSources::Any => media::RtpSources::Any,
        },
        after: Duration::from_secs(written.latch_after),
        heard_after: Duration::from_secs(written.heard_after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_sources_are_read() {
        for (written, sources) in [
            (settings::RtpSources::Sdp, media::RtpSources::Sdp),
            (settings::RtpSources::Peer, media::RtpSources::Peer),
            (settings::RtpSources::Heard, media::RtpSources::Heard),
            (settings::RtpSources::Any, media::RtpSources::Any),
        ] {
            let mut trunk = settings::Trunk::default();
            trunk.rtp.sources = written;
            trunk.rtp.heard_after = 3;
            let policy = policy(&trunk);
            assert_eq!(policy.sources, sources);
            assert_eq!(policy.heard_after, Duration::from_secs(3));
        }
    }

    #[test]
    fn default_of_a_trunk_is_the_default_of_the_media() {
        let policy = policy(&settings::Trunk::default());
        assert_eq!(policy, media::Latching::default());
    }
}
