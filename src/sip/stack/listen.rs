//! Listeners: the sockets that requests arrive on, and the families that each of them serves.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::transport_protocol::Transport;

/// One socket that requests arrive on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listen {
    /// Protocol.
    pub transport: Transport,
    /// Local address; port 0 lets the system choose.
    pub address: SocketAddr,
}

/// Whether the listener of that index is sent by and received at in a family. `[::]` is one
/// listener of both families, unless another one has its port in IPv4.
pub fn serves(listeners: &[Listen], index: usize, ipv4: bool) -> bool {
    let Some(at) = listeners.get(index) else {
        return false;
    };
    at.address.is_ipv4() == ipv4 || is_dual(listeners, index)
}

/// Whether one socket serves both families.
pub fn is_dual(listeners: &[Listen], index: usize) -> bool {
    let Some(at) = listeners.get(index) else {
        return false;
    };
    let in_its_way = |other: &Listen| {
        other.address.is_ipv4()
            && other.transport.is_reliable() == at.transport.is_reliable()
            && other.address.port() == at.address.port()
            && at.address.port() != 0
    };
    at.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !listeners.iter().any(in_its_way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_of_all_addresses_serves_both_families_unless_ipv4_has_its_port() {
        let listen = |transport, address: &str| Listen {
            transport,
            address: address.parse().expect("an address and port"),
        };
        let served = |others: &[Listen]| {
            let mut all = vec![listen(Transport::Udp, "[::]:5060")];
            all.extend_from_slice(others);
            assert!(serves(&all, 0, false));
            assert!(!serves(&all, all.len(), true));
            serves(&all, 0, true)
        };
        assert!(served(&[]));
        assert!(served(&[listen(Transport::Tcp, "0.0.0.0:5060")]));
        assert!(served(&[listen(Transport::Udp, "0.0.0.0:5080")]));
        assert!(served(&[listen(Transport::Udp, "[::1]:5060")]));
        assert!(!served(&[listen(Transport::Udp, "0.0.0.0:5060")]));
        assert!(!served(&[listen(Transport::Udp, "192.0.2.1:5060")]));
        let one = [listen(Transport::Udp, "[2001:db8::1]:5060")];
        assert!(!serves(&one, 0, true));
        let tls = [
            listen(Transport::Tls, "[::]:5061"),
            listen(Transport::Tcp, "192.0.2.1:5061"),
        ];
        assert!(!serves(&tls, 0, true));
    }
}
