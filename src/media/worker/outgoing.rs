//! Where a datagram of a call goes.

use std::net::SocketAddr;

use super::pbx_end::Channel;
use crate::media::StreamId;
use crate::peer::Route;

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// From a WebRTC socket to the browser.
    Browser(Route),
    /// From one of a stream's own sockets to the PBX.
    Pbx {
        /// Whose sockets.
        stream: StreamId,
        /// From which.
        from: Channel,
        /// Where to.
        to: SocketAddr,
    },
}
