//! Where peers reach us: the listener for a peer, and the address of it that stands in Via and
//! Contact, by the socket or as the peer itself sees us (reflexive address, RFC 3581 section 4).

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::flow::{Flow, FlowKey};
use super::listen::{Listen, serves};
use super::transport_protocol::Transport;

/// Most peers whose reflexive address is kept.
const REFLEXIVE_LIMIT: usize = 1_024;

/// Finds the local address that packets to a peer leave from, for a listener bound to all of them.
pub type LocalAddress = Box<dyn Fn(SocketAddr) -> Option<IpAddr> + Send>;

/// The listeners and their addresses.
pub struct LocalAddresses {
    /// The listeners with their real ports.
    listeners: Vec<Listen>,
    local_address: LocalAddress,
    /// Behind NAT: where peers see us, if not at the listener's own address.
    reflexive: HashMap<FlowKey, SocketAddr>,
}

impl fmt::Debug for LocalAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAddresses")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl LocalAddresses {
    /// Of these listeners; nothing is known of NAT.
    pub fn new(listeners: Vec<Listen>, local_address: LocalAddress) -> Self {
        LocalAddresses {
            listeners,
            local_address,
            reflexive: HashMap::new(),
        }
    }

    /// The first listener of that protocol and family, else one that serves both.
    pub fn listener_for(&self, transport: Transport, remote: SocketAddr) -> Option<usize> {
        let of_family = |own: bool| {
            let mut all = self.listeners.iter().enumerate();
            all.position(|(index, listen)| {
                listen.transport == transport
                    && match own {
                        true => listen.address.is_ipv4() == remote.is_ipv4(),
                        false => serves(&self.listeners, index, remote.is_ipv4()),
                    }
            })
        };
        of_family(true).or_else(|| of_family(false))
    }

    /// Host and port that a peer reaches the listener by, as far as we know without the peer.
    /// `advertised` is the configured address.
    pub fn sent_by(&self, key: FlowKey, advertised: Option<IpAddr>) -> SocketAddr {
        let bound = self.listeners[key.listener].address;
        let ip = advertised.unwrap_or_else(|| {
            if bound.ip().is_unspecified() {
                (self.local_address)(key.remote).unwrap_or(bound.ip())
            } else {
                bound.ip()
            }
        });
        (ip, bound.port()).into()
    }

    /// The address that the peer sees us at, where that is another one.
    pub fn reflexive(&self, key: FlowKey) -> Option<SocketAddr> {
        self.reflexive.get(&key).copied()
    }

    /// Takes the address that a peer sees us at; gives it where it is news. Without a port it says
    /// nothing. Of a stream only the address counts: its port is the connection's own, where no
    /// listener is.
    pub fn learn(&mut self, flow: Flow, ip: IpAddr, port: Option<u16>) -> Option<SocketAddr> {
        let key = flow.key();
        let known = self.sent_by(key, None);
        let port = match flow.transport.is_reliable() {
            false => port,
            true => Some(known.port()),
        };
        let usable = !ip.is_unspecified() && ip.is_ipv4() == flow.remote.is_ipv4();
        let reflexive = port
            .filter(|port| *port != 0 && usable)
            .map(|port| SocketAddr::new(ip, port))
            .filter(|reflexive| *reflexive != known);
        let Some(reflexive) = reflexive else {
            self.reflexive.remove(&key);
            return None;
        };
        if self.reflexive.len() >= REFLEXIVE_LIMIT && !self.reflexive.contains_key(&key) {
            self.reflexive.clear();
        }
        let before = self.reflexive.insert(key, reflexive);
        (before != Some(reflexive)).then_some(reflexive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "198.51.100.9:5060";
    const BEHIND_NAT: &str = "203.0.113.7:40000";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address and port")
    }

    fn addresses(bound: &str) -> LocalAddresses {
        let listeners = [Transport::Udp, Transport::Tcp].map(|transport| Listen {
            transport,
            address: address(bound),
        });
        let route = Box::new(|_| Some("192.0.2.1".parse().expect("an address")));
        LocalAddresses::new(listeners.to_vec(), route)
    }

    fn flow(transport: Transport) -> Flow {
        let listener = usize::from(transport.is_reliable());
        Flow::new(transport, listener, address(PEER))
    }

    #[test]
    fn listener_of_all_addresses_is_named_by_the_route() {
        let key = flow(Transport::Udp).key();
        let any = addresses("0.0.0.0:5060");
        assert_eq!(any.sent_by(key, None), address("192.0.2.1:5060"));
        let advertised = "203.0.113.1".parse().ok();
        assert_eq!(any.sent_by(key, advertised), address("203.0.113.1:5060"));
        let one = addresses("192.0.2.5:5062");
        assert_eq!(one.sent_by(key, None), address("192.0.2.5:5062"));
    }

    #[test]
    fn reflexive_address_is_news_once_and_ends_when_it_is_ours() {
        let mut own = addresses("0.0.0.0:5060");
        let udp = flow(Transport::Udp);
        let seen = address(BEHIND_NAT);
        let news = own.learn(udp, seen.ip(), Some(seen.port()));
        assert_eq!(news, Some(seen));
        assert_eq!(own.learn(udp, seen.ip(), Some(seen.port())), None);
        assert_eq!(own.reflexive(udp.key()), Some(seen));
        let bound = address("192.0.2.1:5060");
        assert_eq!(own.learn(udp, bound.ip(), Some(bound.port())), None);
        assert_eq!(own.reflexive(udp.key()), None);
    }

    #[test]
    fn stream_teaches_the_address_and_keeps_the_listeners_port() {
        let mut own = addresses("0.0.0.0:5060");
        let seen = address(BEHIND_NAT);
        let news = own.learn(flow(Transport::Tcp), seen.ip(), Some(seen.port()));
        assert_eq!(news, Some(address("203.0.113.7:5060")));
    }

    #[test]
    fn unusable_reflexive_addresses_are_not_taken() {
        let mut own = addresses("0.0.0.0:5060");
        for (ip, port) in [
            ("0.0.0.0", Some(5060)),
            ("203.0.113.7", Some(0)),
            ("203.0.113.7", None),
            ("2001:db8::1", Some(5060)),
        ] {
            let ip = ip.parse().expect("an address");
            assert_eq!(own.learn(flow(Transport::Udp), ip, port), None, "{ip}");
        }
    }

    #[test]
    fn reflexive_addresses_are_bounded() {
        let mut own = addresses("0.0.0.0:5060");
        for number in 0..5_000_u32 {
            let remote = (number.to_be_bytes(), 5060).into();
            let flow = Flow::new(Transport::Udp, 0, remote);
            own.learn(flow, address(BEHIND_NAT).ip(), Some(40_000));
        }
        assert!(own.reflexive.len() <= REFLEXIVE_LIMIT);
    }
}
