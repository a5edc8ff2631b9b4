//! What the network says of datagrams that reached nobody: ICMP and ICMPv6 errors, as Linux keeps
//! them in the error queue of the socket that sent (ip(7), `IP_RECVERR`). Elsewhere the timers of
//! the transactions tell.

/// Errors in a row that a send or a receive looks past: each was told once, and is that of an
/// earlier datagram.
pub const PENDING: usize = 16;

#[cfg(target_os = "linux")]
pub use linux::{ask_for, watch};
#[cfg(not(target_os = "linux"))]
pub use nowhere::{ask_for, watch};

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
    use std::os::fd::AsRawFd;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use nix::libc::sock_extended_err;
    use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt,
    };
    use tokio::io::Interest;
    use tokio::net::UdpSocket;
    use tokio::sync::mpsc;

    use crate::sip::transport::sockets::Inbound;

    /// A lasting error of the queue must not spin.
    const PAUSE: Duration = Duration::from_millis(100);
    /// What is read of the datagram that came back: routers quote 576 bytes of an IPv4 packet (RFC
    /// 1812 section 4.3.2.3), 1,280 of an IPv6 one (RFC 4443 section 2.4).
    const QUOTE: usize = 1_280;
    /// Room for one error, the address of who told it, and timestamps.
    const CONTROL: usize = 512;
    /// linux/errqueue.h: who made the error.
    const ORIGIN_ICMP: u8 = 2;
    const ORIGIN_ICMP6: u8 = 3;
    /// ICMP destination unreachable (RFC 792): network, host, port.
    const UNREACHABLE: (u8, [u8; 3]) = (3, [0, 1, 3]);
    /// ICMPv6 destination unreachable (RFC 4443 section 3.1): no route, address, port.
    const UNREACHABLE_6: (u8, [u8; 3]) = (1, [0, 3, 4]);

    /// Has the kernel keep the errors of this socket.
    pub fn ask_for(socket: &UdpSocket) -> io::Result<()> {
        if socket.local_addr()?.is_ipv4() {
            setsockopt(socket, Ipv4RecvErr, &true)?;
        } else {
            setsockopt(socket, Ipv6RecvErr, &true)?;
        }
        Ok(())
    }

    /// Reports every datagram of this socket that was sent in vain, until nobody listens.
    pub async fn watch(socket: Arc<UdpSocket>, listener: usize, inbound: mpsc::Sender<Inbound>) {
        loop {
            if socket.ready(Interest::ERROR).await.is_err() {
                return;
            }
            loop {
                match socket.try_io(Interest::ERROR, || read(&socket)) {
                    Ok(Some((remote, quote))) => {
                        let unreachable = Inbound::Unreachable {
                            listener,
                            remote,
                            quote,
                        };
                        if inbound.send(unreachable).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        tracing::debug!(%error, "sip error queue not read");
                        tokio::time::sleep(PAUSE).await;
                        break;
                    }
                }
            }
        }
    }

    /// The next error of the queue: where the datagram was sent to, and what came back of it.
    /// `None` for one that says something else.
    fn read(socket: &UdpSocket) -> io::Result<Option<(SocketAddr, Bytes)>> {
        let (mut quote, mut control) = ([0; QUOTE], [0; CONTROL]);
        let mut parts = [IoSliceMut::new(&mut quote)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        )?;
        let is_unreachable = message.cmsgs()?.any(|part| match part {
            ControlMessageOwned::Ipv4RecvErr(error, _) => says(&error, ORIGIN_ICMP, UNREACHABLE),
            ControlMessageOwned::Ipv6RecvErr(error, _) => says(&error, ORIGIN_ICMP6, UNREACHABLE_6),
            _ => false,
        });
        let (length, remote) = (message.bytes, message.address.as_ref().and_then(address));
        let quote = Bytes::copy_from_slice(&quote[..length.min(QUOTE)]);
        Ok(remote.filter(|_| is_unreachable).map(|to| (to, quote)))
    }

    fn says(error: &sock_extended_err, origin: u8, (kind, codes): (u8, [u8; 3])) -> bool {
        error.ee_origin == origin && error.ee_type == kind && codes.contains(&error.ee_code)
    }

    fn address(of: &SockaddrStorage) -> Option<SocketAddr> {
        of.family()?;
        let v4 = of.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
        v4.or_else(|| {
            of.as_sockaddr_in6()
                .map(|v6| SocketAddrV6::from(*v6).into())
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::io;
    use std::sync::Arc;

    use tokio::net::UdpSocket;
    use tokio::sync::mpsc;

    use crate::sip::transport::sockets::Inbound;

    /// There is nothing to ask for.
    pub fn ask_for(_: &UdpSocket) -> io::Result<()> {
        Ok(())
    }

    /// There is nothing to report.
    pub async fn watch(_: Arc<UdpSocket>, _: usize, _: mpsc::Sender<Inbound>) {}
}
