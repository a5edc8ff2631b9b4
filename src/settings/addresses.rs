//! Keys that take one IP address or several.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

/// One address, or a list of them.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "an IP address, or a list of IP addresses")]
    enum Written {
        One(IpAddr),
        Several(Vec<IpAddr>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(address) => vec![address],
        Written::Several(addresses) => addresses,
    })
}
