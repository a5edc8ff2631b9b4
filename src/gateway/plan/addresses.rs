//! The local addresses that browsers reach: our ICE host candidates.

use std::net::{IpAddr, SocketAddr};

use crate::settings::Settings;

/// The local addresses that browsers reach, the one to try first in front. Each that leads nowhere
/// costs a browser 50 ms, the pause between its checks.
pub(in crate::gateway) fn browser_addresses(
    settings: &Settings,
    machine: &[IpAddr],
) -> Vec<IpAddr> {
    if !settings.webrtc.addresses.is_empty() {
        return settings.webrtc.addresses.clone();
    }
    let page: SocketAddr = settings.http.listen;
    if !page.ip().is_unspecified() && !page.ip().is_loopback() {
        return vec![page.ip()];
    }
    let mut usable: Vec<IpAddr> = Vec::new();
    for address in machine {
        // One address may be on two interfaces, but only one socket can have it.
        if !is_link_local(*address) && !usable.contains(address) {
            usable.push(*address);
        }
    }
    let (loopback, mut addresses): (Vec<IpAddr>, Vec<IpAddr>) =
        usable.into_iter().partition(IpAddr::is_loopback);
    // Loopback is no candidate (RFC 8445 section 5.1.1.1), unless there is nothing else, or the
    // page is on loopback: then it is for this machine's own browser, as the last, since browsers
    // leave loopback out of their own candidates and come from the machine's other addresses.
    if page.ip().is_loopback() || addresses.is_empty() {
        addresses.extend(loopback);
    }
    addresses
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(listen: &str, machine: &[&str]) -> Vec<String> {
        let mut settings = Settings::default();
        settings.http.listen = listen.parse().expect("an address");
        let machine: Vec<IpAddr> = machine
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect();
        let found = browser_addresses(&settings, &machine);
        found.iter().map(IpAddr::to_string).collect()
    }

    const MACHINE: &[&str] = &[
        "127.0.0.1",
        "::1",
        "10.0.0.5",
        "fe80::1",
        "2001:db8::5",
        "169.254.1.1",
        "127.0.0.53",
        "10.0.0.5",
    ];

    #[test]
    fn listener_on_all_addresses_offers_no_loopback() {
        for listen in ["0.0.0.0:8080", "[::]:8080"] {
            assert_eq!(addresses(listen, MACHINE), ["10.0.0.5", "2001:db8::5"]);
        }
    }

    #[test]
    fn listener_on_loopback_offers_loopback_last() {
        for listen in ["127.0.0.1:8080", "[::1]:8080", "127.0.0.2:8080"] {
            let all = ["10.0.0.5", "2001:db8::5", "127.0.0.1", "::1", "127.0.0.53"];
            assert_eq!(addresses(listen, MACHINE), all);
        }
    }

    #[test]
    fn listener_on_one_address_offers_it_alone() {
        assert_eq!(addresses("10.0.0.5:8080", MACHINE), ["10.0.0.5"]);
    }

    #[test]
    fn machine_with_loopback_alone_offers_it() {
        assert_eq!(addresses("0.0.0.0:8080", &["127.0.0.1"]), ["127.0.0.1"]);
    }

    #[test]
    fn configured_addresses_are_taken_as_they_are() {
        let mut settings = Settings::default();
        settings.webrtc.addresses = vec!["127.0.0.1".parse().expect("an address")];
        settings.http.listen = "0.0.0.0:8080".parse().expect("an address");
        let found = browser_addresses(&settings, &[]);
        assert_eq!(found, settings.webrtc.addresses);
    }
}
