//! Binds a worker's WebRTC sockets: one for each local address, all on the same port.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::media::Error;

/// How often a port that the system chose for the first address is tried on the others.
const ATTEMPTS: usize = 32;

/// Binds `port` on every address; 0 finds one that is free on all of them.
pub fn bind_all(
    addresses: &[IpAddr],
    port: u16,
    receive_buffer: usize,
) -> Result<Vec<UdpSocket>, Error> {
    if addresses.is_empty() {
        return Err(Error::NoAddress);
    }
    let mut attempt = 1;
    loop {
        match bind_once(addresses, port, receive_buffer) {
            Err(Error::Socket { source, .. })
                if port == 0 && attempt < ATTEMPTS && source.kind() == io::ErrorKind::AddrInUse => {
            }
            result => return result,
        }
        attempt += 1;
    }
}

fn bind_once(
    addresses: &[IpAddr],
    port: u16,
    receive_buffer: usize,
) -> Result<Vec<UdpSocket>, Error> {
    let mut port = port;
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let failed = |source| Error::Socket { address, source };
        let socket = bind(address, receive_buffer).map_err(failed)?;
        port = socket.local_addr().map_err(failed)?.port();
        sockets.push(socket);
    }
    Ok(sockets)
}

fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if receive_buffer != 0 {
        // The kernel caps it at net.core.rmem_max without an error.
        socket.set_recv_buffer_size(receive_buffer)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_share_one_port() {
        let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
            .map(|address| address.parse::<IpAddr>().expect("an address"));
        let sockets = bind_all(&addresses, 0, 65_536).expect("loopback can be bound");
        let bound: Vec<_> = sockets
            .iter()
            .map(|s| s.local_addr().expect("bound"))
            .collect();
        assert!(
            bound
                .iter()
                .all(|address| address.port() == bound[0].port())
        );
        assert_eq!(
            bound.iter().map(SocketAddr::ip).collect::<Vec<_>>(),
            addresses
        );

        let taken = bind_all(&addresses[1..2], bound[0].port(), 0);
        assert!(matches!(taken, Err(Error::Socket { .. })), "{taken:?}");
    }

    #[test]
    fn no_address_is_an_error() {
        assert!(matches!(bind_all(&[], 0, 0), Err(Error::NoAddress)));
    }
}
