//! The addresses of RTP towards PBXs: one of each family, for all trunks and for single ones.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::unusable;
use crate::control::{RtpAddress, RtpAddresses};
use crate::dscp::Dscp;
use crate::media::{self, DEFAULT_DRAIN, Ports, PortsConfig};
use crate::settings::{Error, Settings};
use crate::sip;

/// A local address, and the one to write into SDP where it is another.
type Pair = (IpAddr, Option<IpAddr>);

/// Which addresses calls use; each list has one of a family at most.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::gateway) struct RtpPlan {
    common: Vec<Pair>,
    of_trunks: HashMap<String, Vec<Pair>>,
}

impl RtpPlan {
    /// Reads `media.rtp_address` and its relatives. Without them RTP is where SIP listens, in each
    /// family that it listens in.
    pub(super) fn read(settings: &Settings, listen: &[sip::Listen]) -> Result<Self, Error> {
        let media = &settings.media;
        one_of_each("media.rtp_address", &media.rtp_address)?;
        one_of_each("media.rtp_advertise", &media.rtp_advertise)?;
        let common = match media.rtp_address.is_empty() {
            true => listening(listen, &media.rtp_advertise),
            false => media.rtp_address.clone(),
        };
        let common = pairs("media.rtp_", common, &media.rtp_advertise)?;
        let mut of_trunks = HashMap::new();
        for (index, trunk) in settings.trunk.iter().enumerate() {
            if trunk.rtp.address.is_empty() && trunk.rtp.advertise.is_empty() {
                continue;
            }
            let table = format!("trunk[{index}].rtp.");
            one_of_each(&format!("{table}address"), &trunk.rtp.address)?;
            one_of_each(&format!("{table}advertise"), &trunk.rtp.advertise)?;
            let local = match trunk.rtp.address.is_empty() {
                true => common.iter().map(|(local, _)| *local).collect(),
                false => trunk.rtp.address.clone(),
            };
            let own = pairs(&table, local, &trunk.rtp.advertise)?;
            of_trunks.insert(trunk.name.clone(), own);
        }
        Ok(RtpPlan { common, of_trunks })
    }

    /// All local addresses, each once.
    pub(in crate::gateway) fn local_addresses(&self) -> Vec<IpAddr> {
        let pairs = self.common.iter().chain(self.of_trunks.values().flatten());
        let mut addresses: Vec<IpAddr> = pairs.map(|(local, _)| *local).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// The ports of each local address, which the trunks share.
    pub(in crate::gateway) fn open(
        &self,
        range: &RangeInclusive<u16>,
        dscp: Dscp,
    ) -> Result<RtpAddresses, media::Error> {
        let mut pools: HashMap<IpAddr, Ports> = HashMap::new();
        let mut open = |pairs: &[Pair]| -> Result<Vec<RtpAddress>, media::Error> {
            let mut addresses = Vec::with_capacity(pairs.len());
            for (local, advertised) in pairs {
                let ports = match pools.get(local) {
                    Some(ports) => ports.clone(),
                    None => Ports::new(&PortsConfig {
                        address: *local,
                        range: range.clone(),
                        drain: DEFAULT_DRAIN,
                        dscp,
                    })?,
                };
                pools.insert(*local, ports.clone());
                addresses.push(RtpAddress {
                    ports,
                    advertised: *advertised,
                });
            }
            Ok(addresses)
        };
        Ok(RtpAddresses {
            common: open(&self.common)?,
            of_trunks: self
                .of_trunks
                .iter()
                .map(|(trunk, pairs)| Ok((trunk.clone(), open(pairs)?)))
                .collect::<Result<_, media::Error>>()?,
        })
    }
}

/// The first address of each family that SIP listens at. One that is unspecified serves where an
/// address to write in its place is given; `[::]` stands for both families.
fn listening(listen: &[sip::Listen], advertised: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut add = |ip: IpAddr| {
        let known = addresses.iter().any(|it| it.is_ipv4() == ip.is_ipv4());
        let named = advertised.iter().any(|it| it.is_ipv4() == ip.is_ipv4());
        if !known && (!ip.is_unspecified() || named) {
            addresses.push(ip);
        }
    };
    for at in listen {
        let ip = at.address.ip();
        add(ip);
        if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            add(Ipv4Addr::UNSPECIFIED.into());
        }
    }
    addresses
}

/// Refuses two addresses of one family: nothing would say which is meant.
fn one_of_each(key: &str, addresses: &[IpAddr]) -> Result<(), Error> {
    let of = |v4: bool| addresses.iter().filter(|ip| ip.is_ipv4() == v4).count();
    if of(true) > 1 || of(false) > 1 {
        let written = format!("{addresses:?}");
        return Err(unusable(
            key,
            &written,
            "one address of each family at most",
        ));
    }
    Ok(())
}

/// Puts to each local address the one to write in its place. `table` is what precedes `address` and
/// `advertise` in their keys.
fn pairs(table: &str, local: Vec<IpAddr>, advertised: &[IpAddr]) -> Result<Vec<Pair>, Error> {
    let of_family = |ip: &IpAddr| {
        let mut all = advertised.iter();
        all.find(|it| it.is_ipv4() == ip.is_ipv4()).copied()
    };
    let stray = advertised
        .iter()
        .find(|ip| !local.iter().any(|it| it.is_ipv4() == ip.is_ipv4()));
    if let Some(stray) = stray {
        let expected = "an address of a family that rtp_address has too";
        let key = format!("{table}advertise");
        return Err(unusable(key, &stray.to_string(), expected));
    }
    let pairs: Vec<Pair> = local.into_iter().map(|ip| (ip, of_family(&ip))).collect();
    let nowhere = pairs
        .iter()
        .find(|(local, advertised)| local.is_unspecified() && advertised.is_none());
    let wrong = match nowhere {
        Some((local, _)) => local.to_string(),
        None if pairs.is_empty() => "[]".to_owned(),
        None => return Ok(pairs),
    };
    Err(unusable(
        format!("{table}address"),
        &wrong,
        "an address that PBXs reach, or rtp_advertise beside it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn plan(listen: &[&str], change: impl FnOnce(&mut Settings)) -> Result<RtpPlan, String> {
        let listen: Vec<_> = listen
            .iter()
            .map(|address| sip::Listen {
                transport: sip::Transport::Udp,
                address: address.parse().expect("an address and port"),
            })
            .collect();
        let mut settings = Settings {
            trunk: vec![settings::Trunk::new("vpn", "")],
            ..Settings::default()
        };
        change(&mut settings);
        RtpPlan::read(&settings, &listen).map_err(|error| error.to_string())
    }

    #[test]
    fn rtp_without_addresses_is_where_sip_listens_in_each_family() {
        let both = ["192.0.2.1:5060", "192.0.2.1:5061", "[2001:db8::1]:5060"];
        let read = plan(&both, |_| {}).expect("usable");
        assert_eq!(
            read.common,
            [(ip("192.0.2.1"), None), (ip("2001:db8::1"), None)]
        );
        assert!(read.of_trunks.is_empty());
        let read = plan(&["[2001:db8::1]:5060"], |_| {}).expect("usable");
        assert_eq!(read.common, [(ip("2001:db8::1"), None)]);
        // One of two listeners that has no address of its own does not stand in the way.
        let read = plan(&["192.0.2.1:5060", "[::]:5060"], |_| {}).expect("usable");
        assert_eq!(read.common, [(ip("192.0.2.1"), None)]);
    }

    #[test]
    fn an_address_for_sdp_goes_with_the_address_of_its_family() {
        let read = plan(&["[::]:5060"], |settings| {
            settings.media.rtp_advertise = vec![ip("203.0.113.1"), ip("2001:db8::9")];
        });
        assert_eq!(
            read.expect("usable").common,
            [
                (ip("::"), Some(ip("2001:db8::9"))),
                (ip("0.0.0.0"), Some(ip("203.0.113.1")))
            ]
        );
        let read = plan(&["0.0.0.0:5060"], |settings| {
            settings.media.rtp_address = vec![ip("10.0.0.1"), ip("2001:db8::1")];
            settings.media.rtp_advertise = vec![ip("203.0.113.1")];
        });
        assert_eq!(
            read.expect("usable").common,
            [
                (ip("10.0.0.1"), Some(ip("203.0.113.1"))),
                (ip("2001:db8::1"), None)
            ]
        );
    }

    #[test]
    fn a_trunk_may_have_addresses_of_its_own() {
        let read = plan(&["192.0.2.1:5060"], |settings| {
            settings.media.rtp_advertise = vec![ip("203.0.113.1")];
            settings.trunk[0].rtp.address = vec![ip("10.8.0.1")];
        });
        let read = read.expect("usable");
        assert_eq!(read.of_trunks["vpn"], [(ip("10.8.0.1"), None)]);
        let read = plan(&["192.0.2.1:5060"], |settings| {
            settings.trunk[0].rtp.advertise = vec![ip("203.0.113.7")];
        });
        let read = read.expect("usable");
        assert_eq!(
            read.of_trunks["vpn"],
            [(ip("192.0.2.1"), Some(ip("203.0.113.7")))]
        );
        assert_eq!(read.common, [(ip("192.0.2.1"), None)]);
        let shared = read
            .open(&(20_000..=20_009), Dscp::default())
            .expect("a range");
        let own = &shared.of_trunks["vpn"][0];
        assert_eq!(own.ports.address(), shared.common[0].ports.address());
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_named() {
        for (listen, change, words) in [
            (
                "0.0.0.0:5060",
                (|_| {}) as fn(&mut Settings),
                ["media.rtp_address", "rtp_advertise beside it"],
            ),
            (
                "192.0.2.1:5060",
                |settings| settings.media.rtp_address = vec![ip("192.0.2.1"), ip("192.0.2.2")],
                ["media.rtp_address", "one address of each family"],
            ),
            (
                "192.0.2.1:5060",
                |settings| settings.media.rtp_advertise = vec![ip("2001:db8::1")],
                ["media.rtp_advertise", "rtp_address has too"],
            ),
            (
                "192.0.2.1:5060",
                |settings| settings.trunk[0].rtp.address = vec![ip("::")],
                ["trunk[0].rtp.address", "rtp_advertise beside it"],
            ),
        ] {
            let error = plan(&[listen], change).expect_err(words[0]);
            for word in words {
                assert!(error.contains(word), "{error} should say {word}");
            }
        }
    }
}
