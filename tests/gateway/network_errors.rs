//! What the network says of datagrams beside that they reached nobody: counted, and nothing else.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::setup::Setup;
use crate::sound::Coding;

/// An ICMP error (RFC 792) that quotes a datagram of ours to `remote`.
fn error(kind: u8, code: u8, ours: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let loopback = Ipv4Addr::LOCALHOST.octets();
    let mut packet = vec![kind, code, 0, 0, 0, 0, 0, 0];
    // The IPv4 header: 20 + 8 bytes in all, protocol 17.
    packet.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend([loopback, loopback].concat());
    packet.extend(ours.port().to_be_bytes());
    packet.extend(remote.port().to_be_bytes());
    packet.extend([0, 8, 0, 0]);
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from(folded).expect("few words");
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_network_that_says_something_else_is_counted_and_harms_no_call() {
    let Ok(socket) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) else {
        println!("not run: raw sockets are for the superuser");
        return;
    };
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    let remote = setup.pbx.sip.local_addresses()[0].address;
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into();
    // Linux itself keeps source quench from sockets, as RFC 6633 asks for.
    for (kind, code, reason) in [
        (11, 0, "icmp_time_exceeded"),
        (12, 0, "icmp_parameter_problem"),
        (3, 4, "icmp_too_big"),
        (3, 13, "icmp_prohibited"),
        (3, 2, "icmp_unreachable_otherwise"),
    ] {
        let labels = [("reason", reason)];
        let name = "trunkline_sip_rejected_total";
        let before = setup.counter(name, &labels).await;
        let packet = error(kind, code, setup.sip, remote);
        socket.send_to(&packet, &to).expect("sent");
        setup.counted(name, &labels, before, 1.0).await;
    }
    talk.sounds().await;
    talk.end().await;
    setup.has_calls(0).await;
}
