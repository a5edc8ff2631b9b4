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

    use crate::sip::stack::transport::inbound::{Inbound, canonical};

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

    /// What an error says of the datagram.
    #[derive(Debug, PartialEq, Eq)]
    enum Said {
        /// There is nobody.
        Unreachable,
        /// Something else, which is no word on who is there: a name for a counter.
        Else(&'static str),
    }

    impl Said {
        /// The types and codes of RFC 792 and RFC 1812 section 5.2.7.1, and of RFC 4443 section 3.
        fn read(error: &sock_extended_err) -> Self {
            let reason = match (error.ee_origin, error.ee_type, error.ee_code) {
                // Network, host, port; no route, address, port.
                (ORIGIN_ICMP, 3, 0 | 1 | 3) | (ORIGIN_ICMP6, 1, 0 | 3 | 4) => {
                    return Said::Unreachable;
                }
                (ORIGIN_ICMP, 3, 4) | (ORIGIN_ICMP6, 2, _) => "icmp_too_big",
                (ORIGIN_ICMP, 3, 9 | 10 | 13) | (ORIGIN_ICMP6, 1, 1 | 5 | 6) => "icmp_prohibited",
                (ORIGIN_ICMP, 3, _) | (ORIGIN_ICMP6, 1, _) => "icmp_unreachable_otherwise",
                (ORIGIN_ICMP, 4, _) => "icmp_source_quench",
                (ORIGIN_ICMP, 11, _) | (ORIGIN_ICMP6, 3, _) => "icmp_time_exceeded",
                (ORIGIN_ICMP, 12, _) | (ORIGIN_ICMP6, 4, _) => "icmp_parameter_problem",
                (ORIGIN_ICMP | ORIGIN_ICMP6, _, _) => "icmp_other",
                // This machine's own.
                _ => "unsent",
            };
            Said::Else(reason)
        }
    }

    /// Has the kernel keep the errors of this socket.
    pub fn ask_for(socket: &UdpSocket) -> io::Result<()> {
        if socket.local_addr()?.is_ipv4() {
            setsockopt(socket, Ipv4RecvErr, &true)?;
        } else {
            setsockopt(socket, Ipv6RecvErr, &true)?;
            // Of a socket of both families; one of IPv6 alone has no such option to set.
            let _ = setsockopt(socket, Ipv4RecvErr, &true);
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
    /// `None` for one that says something else, which is counted.
    fn read(socket: &UdpSocket) -> io::Result<Option<(SocketAddr, Bytes)>> {
        let (mut quote, mut control) = ([0; QUOTE], [0; CONTROL]);
        let mut parts = [IoSliceMut::new(&mut quote)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        )?;
        let said = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(Said::read(&error)),
            _ => None,
        });
        let (length, remote) = (message.bytes, message.address.as_ref().and_then(address));
        let reason = match (said, remote) {
            (Some(Said::Unreachable), Some(remote)) => {
                let quote = Bytes::copy_from_slice(&quote[..length.min(QUOTE)]);
                return Ok(Some((remote, quote)));
            }
            (Some(Said::Else(reason)), _) => reason,
            (Some(Said::Unreachable), None) | (None, _) => "icmp_unreadable",
        };
        metrics::counter!("trunkline_sip_rejected_total", "reason" => reason).increment(1);
        tracing::debug!(reason, ?remote, "sip passes an error of the network over");
        Ok(None)
    }

    fn address(of: &SockaddrStorage) -> Option<SocketAddr> {
        of.family()?;
        let v4 = of.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
        v4.or_else(|| {
            of.as_sockaddr_in6()
                .map(|v6| SocketAddrV6::from(*v6).into())
        })
        .map(canonical)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn said(origin: u8, kind: u8, code: u8) -> Said {
            Said::read(&sock_extended_err {
                ee_errno: 0,
                ee_origin: origin,
                ee_type: kind,
                ee_code: code,
                ee_pad: 0,
                ee_info: 0,
                ee_data: 0,
            })
        }

        #[test]
        fn nobody_is_there_only_where_an_error_says_so() {
            for (origin, kind, codes) in [(ORIGIN_ICMP, 3, [0, 1, 3]), (ORIGIN_ICMP6, 1, [0, 3, 4])]
            {
                for code in codes {
                    assert_eq!(said(origin, kind, code), Said::Unreachable);
                }
            }
            for (origin, kind, code, reason) in [
                (ORIGIN_ICMP, 3, 2, "icmp_unreachable_otherwise"),
                (ORIGIN_ICMP, 3, 4, "icmp_too_big"),
                (ORIGIN_ICMP, 3, 13, "icmp_prohibited"),
                (ORIGIN_ICMP, 4, 0, "icmp_source_quench"),
                (ORIGIN_ICMP, 5, 1, "icmp_other"),
                (ORIGIN_ICMP, 11, 0, "icmp_time_exceeded"),
                (ORIGIN_ICMP, 12, 0, "icmp_parameter_problem"),
                (ORIGIN_ICMP6, 1, 1, "icmp_prohibited"),
                (ORIGIN_ICMP6, 1, 2, "icmp_unreachable_otherwise"),
                (ORIGIN_ICMP6, 2, 0, "icmp_too_big"),
                (ORIGIN_ICMP6, 3, 1, "icmp_time_exceeded"),
                (ORIGIN_ICMP6, 4, 2, "icmp_parameter_problem"),
                // What is destination unreachable in the one family is nothing in the other.
                (ORIGIN_ICMP6, 11, 0, "icmp_other"),
                // A datagram that this machine did not send.
                (1, 3, 3, "unsent"),
            ] {
                let context = format!("{origin} {kind} {code}");
                assert_eq!(said(origin, kind, code), Said::Else(reason), "{context}");
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::io;
    use std::sync::Arc;

    use tokio::net::UdpSocket;
    use tokio::sync::mpsc;

    use crate::sip::stack::transport::inbound::Inbound;

    /// There is nothing to ask for.
    pub fn ask_for(_: &UdpSocket) -> io::Result<()> {
        Ok(())
    }

    /// There is nothing to report.
    pub async fn watch(_: Arc<UdpSocket>, _: usize, _: mpsc::Sender<Inbound>) {}
}
