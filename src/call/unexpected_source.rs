//! What the log and the metrics say of RTP from an address of neither SDP nor SIP.

use std::net::SocketAddr;

use crate::media::CallKey;

/// It is dropped; said once a call.
pub(super) fn is_dropped(call: CallKey, trunk: &str, rtp: SocketAddr) {
    tracing::warn!(
        call = call.0,
        trunk,
        %rtp,
        "RTP from an unexpected source is dropped (see rtp_sources of the trunk)"
    );
}

/// It is played to the browser, since nothing came from the address of the SDP, `signalled`.
pub(super) fn is_heard(call: CallKey, trunk: &str, rtp: SocketAddr, signalled: SocketAddr) {
    metrics::counter!("trunkline_unexpected_sources_heard_total").increment(1);
    tracing::warn!(
        call = call.0,
        trunk,
        %rtp,
        %signalled,
        "RTP from an unexpected source is played, since none comes from the address of the SDP; our \
         RTP goes to the latter (rtp_sources = \"any\" of the trunk sends it to the source, \"peer\" \
         drops such RTP)"
    );
}
