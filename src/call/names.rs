//! Host names in the `c=` lines of PBXs' descriptions (RFC 8866 section 9), and the addresses that
//! take their place.

use bytes::Bytes;

use crate::{sdp, sip};

/// A description with addresses in place of names. Takes five seconds at most for each name. A
/// name without an address of the family that its line names stays, and is refused where it is
/// read.
pub(crate) async fn resolved(sip: &sip::Handle, body: &[u8]) -> Bytes {
    let mut found = Vec::new();
    for name in sdp::connection_names(body) {
        let addresses = sip.addresses_of(&name.name).await;
        match name.address_among(&addresses) {
            Some(address) => found.push((name, address)),
            None => {
                tracing::warn!(name = %name.name, ipv6 = name.ipv6, "SDP names a host without an address")
            }
        }
    }
    sdp::with_addresses(body, &found).into()
}

/// Whether a description has a name that is to be looked up.
pub(crate) fn has_names(body: &[u8]) -> bool {
    !sdp::connection_names(body).is_empty()
}
