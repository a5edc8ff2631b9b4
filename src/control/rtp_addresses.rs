//! Which of the gateway's RTP addresses a call uses: one of each family, for all trunks or for one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use crate::call::EndReason;
use crate::media::{Ports, RtpSockets};
use crate::sdp::RtpFamilies;

/// One address of RTP towards PBXs.
#[derive(Clone, Debug)]
pub struct RtpAddress {
    /// The port pairs on the local address.
    pub ports: Ports,
    /// The address to write into SDP where it is another one (1:1 NAT); of the same family.
    pub advertised: Option<IpAddr>,
}

impl RtpAddress {
    /// The address that stands in SDP.
    fn written(&self) -> IpAddr {
        self.advertised.unwrap_or(self.ports.address())
    }

    /// Takes a port pair, and gives its address as it stands in SDP.
    pub(super) fn reserve(&self) -> Result<(RtpSockets, SocketAddr), EndReason> {
        let rtp = self.ports.reserve().map_err(|error| {
            tracing::warn!(%error, "no RTP port for a call");
            EndReason::Overload
        })?;
        let address = SocketAddr::new(self.written(), rtp.local.port());
        Ok((rtp, address))
    }

    /// Whether both are the same end of RTP.
    pub(super) fn is_same(&self, other: &RtpAddress) -> bool {
        self.ports.address() == other.ports.address() && self.advertised == other.advertised
    }
}

/// The RTP addresses of the gateway. Each list has one address at least, and one of each family at
/// most, the preferred first.
#[derive(Clone, Debug)]
pub struct RtpAddresses {
    /// Of trunks without addresses of their own.
    pub common: Vec<RtpAddress>,
    /// By the name of the trunk.
    pub of_trunks: HashMap<String, Vec<RtpAddress>>,
}

impl RtpAddresses {
    fn of(&self, trunk: &str) -> &[RtpAddress] {
        self.of_trunks.get(trunk).unwrap_or(&self.common)
    }

    /// Whether calls of this trunk have more than one address to choose from.
    pub(super) fn has_choice(&self, trunk: &str) -> bool {
        self.of(trunk).len() > 1
    }

    /// The families that calls of this trunk can use.
    pub(super) fn families(&self, trunk: &str) -> RtpFamilies {
        RtpFamilies::of_all(self.of(trunk).iter().map(RtpAddress::written))
    }

    /// The address for a call of this trunk with an end at `remote`: of the same family, else the
    /// preferred one (the other end may have both families).
    pub(super) fn towards(
        &self,
        trunk: &str,
        remote: Option<IpAddr>,
    ) -> Result<&RtpAddress, EndReason> {
        let addresses = self.of(trunk);
        let family = remote.map(|remote| remote.to_canonical().is_ipv4());
        let same = |address: &&RtpAddress| Some(address.written().is_ipv4()) == family;
        addresses
            .iter()
            .find(same)
            .or(addresses.first())
            .ok_or(EndReason::Internal)
    }
}
