//! Differentiated services code points (RFC 2474): how routers are asked to treat our packets.

use std::io;

use socket2::{Domain, SockRef};

/// A code point: the upper six bits of the TOS octet of IPv4 and of the traffic class of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp(u8);

impl Dscp {
    /// Best effort: nothing is set, what the system does is left as it is.
    pub const DEFAULT: Dscp = Dscp(0);
    /// Class selector 3, for signalling (RFC 4594 section 4.2 says CS5, equipment in the field CS3).
    pub const CS3: Dscp = Dscp(24);
    /// Expedited forwarding, for audio (RFC 4594 section 4.1, RFC 8837 section 5).
    pub const EF: Dscp = Dscp(46);

    /// A code point, if it has six bits.
    pub const fn new(value: u8) -> Option<Dscp> {
        if value < 64 { Some(Dscp(value)) } else { None }
    }

    /// Marks all that the socket sends from now on. A TCP listener passes it on to the connections
    /// that it accepts.
    pub fn mark<'s>(self, socket: &'s impl IntoSockRef<'s>) -> io::Result<()> {
        if self == Dscp::DEFAULT {
            return Ok(());
        }
        let socket = socket.sock_ref();
        // The last two bits are those of ECN, which the kernel keeps for TCP.
        let octet = u32::from(self.0) << 2;
        if socket.domain()? == Domain::IPV6 {
            socket.set_tclass_v6(octet)?;
            // For IPv4 on a socket of both families; one of IPv6 alone may refuse it.
            let _ = socket.set_tos_v4(octet);
            return Ok(());
        }
        socket.set_tos_v4(octet)
    }
}

impl Default for Dscp {
    fn default() -> Self {
        Dscp::DEFAULT
    }
}

/// Whatever socket2 can look into.
pub trait IntoSockRef<'s> {
    /// The view.
    fn sock_ref(&'s self) -> SockRef<'s>;
}

impl<'s, S> IntoSockRef<'s> for S
where
    S: 's,
    SockRef<'s>: From<&'s S>,
{
    fn sock_ref(&'s self) -> SockRef<'s> {
        SockRef::from(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn dscp_has_six_bits() {
        assert_eq!(Dscp::new(46), Some(Dscp::EF));
        assert_eq!(Dscp::new(63).map(|dscp| dscp.0), Some(63));
        assert_eq!(Dscp::new(64), None);
    }

    #[test]
    fn socket_of_each_family_is_marked() {
        let v4 = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        Dscp::EF.mark(&v4).expect("can be marked");
        assert_eq!(SockRef::from(&v4).tos_v4().expect("an option"), 46 << 2);
        let v6 = UdpSocket::bind("[::1]:0").expect("loopback");
        Dscp::EF.mark(&v6).expect("can be marked");
        assert_eq!(SockRef::from(&v6).tclass_v6().expect("an option"), 46 << 2);
        let both = UdpSocket::bind("[::]:0").expect("any address");
        Dscp::CS3.mark(&both).expect("can be marked");
        let options = SockRef::from(&both);
        assert_eq!(options.tclass_v6().expect("an option"), 24 << 2);
        assert_eq!(options.tos_v4().expect("an option"), 24 << 2);
    }

    #[test]
    fn accepted_connection_inherits_the_listeners_mark() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).expect("loopback");
            Dscp::CS3.mark(&listener).expect("can be marked");
            let address = listener.local_addr().expect("bound");
            let _client = TcpStream::connect(address).expect("a listener");
            let (accepted, _) = listener.accept().expect("a connection");
            let options = SockRef::from(&accepted);
            let octet = match address.is_ipv4() {
                true => options.tos_v4(),
                false => options.tclass_v6(),
            };
            assert_eq!(octet.expect("an option"), 24 << 2, "{address}");
        }
    }
}
