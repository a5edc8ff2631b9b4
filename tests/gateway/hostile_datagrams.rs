//! Packets from people who have no call: at the RTP port and at the WebRTC port.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::browser::Browser;
use crate::setup::Setup;
use crate::sound::{Coding, ToneSource};

const DROPPED: &str = "trunkline_media_dropped_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rtp_from_an_unexpected_source_is_neither_heard_nor_answered() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    let dropped = [("side", "pbx"), ("reason", "unexpected_source")];
    let before = setup.counter(DROPPED, &dropped).await;
    talk.witness();
    let unexpected = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let (mut voice, wish) = ToneSource::new(Coding::Pcmu, 101);
    wish.lock().expect("whole").frequency = 2_000.0;
    // With the SSRC of the call, and faster than real time.
    for _ in 0..100 {
        for spoken in voice.next() {
            let mut packet = vec![0x80, spoken.payload_type];
            packet.extend_from_slice(&spoken.sequence.to_be_bytes());
            packet.extend_from_slice(&spoken.timestamp.to_be_bytes());
            packet.extend_from_slice(&0x0b0b_0b0b_u32.to_be_bytes());
            packet.extend_from_slice(&spoken.payload);
            let sent = unexpected.send_to(&packet, talk.leg.gateway_rtp()).await;
            sent.expect("sent");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut buffer = [0; 2_048];
    let answered = unexpected.try_recv(&mut buffer);
    assert!(
        answered.is_err(),
        "{answered:?} octets for an unexpected source"
    );
    talk.was_undisturbed().await;
    talk.end().await;
    setup.has_calls(0).await;
    setup.counted(DROPPED, &dropped, before, 100.0).await;
}

/// The address of the first candidate of a description.
fn webrtc_address(description: &str) -> SocketAddr {
    let candidate = value(description, "a=candidate:");
    let fields: Vec<_> = candidate.split(' ').collect();
    let address = format!("{}:{}", fields[4], fields[5]);
    address.parse().expect("an address")
}

fn value<'a>(description: &'a str, name: &str) -> &'a str {
    let line = description.lines().find_map(|line| line.strip_prefix(name));
    line.expect("it is there").trim()
}

/// A connectivity check with this user name and without integrity (RFC 8489), for its sender
/// does not know the password.
fn stun_request(username: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend_from_slice(b"twelve bytes");
    message.extend_from_slice(&[0, 6]);
    let length = u16::try_from(username.len()).expect("short");
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(username.as_bytes());
    message.resize(message.len().next_multiple_of(4), 0);
    // The length counts the fingerprint that follows.
    let length = u16::try_from(message.len() + 8 - 20).expect("short");
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let fingerprint = crc32(&message) ^ 0x5354_554e;
    message.extend_from_slice(&[0x80, 0x28, 0, 4]);
    message.extend_from_slice(&fingerprint.to_be_bytes());
    message
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// The first flight of a DTLS 1.2 handshake, as far as its header.
fn client_hello() -> Vec<u8> {
    let mut hello = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12];
    hello.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    hello
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_and_handshakes_of_unexpected_sources_at_the_webrtc_port_change_nothing() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();

    // A second call that waits for its browser: the unexpected source tries to be that browser.
    let mut page = setup.page("bob").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    page.call("c1", "600", &offer).await;
    let leg = setup.pbx.called().await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    let address = webrtc_address(answer);
    let (ours, theirs) = (value(answer, "a=ice-ufrag:"), value(&offer, "a=ice-ufrag:"));
    let wanted = [
        ("worker", "unknown_address", 100.0),
        ("worker", "unknown_ufrag", 20.0),
        ("browser", "stun_username", 20.0),
        ("browser", "stun_integrity", 20.0),
    ];
    let mut before = Vec::new();
    for (side, reason, _) in wanted {
        let labels = [("side", side), ("reason", reason)];
        before.push(setup.counter(DROPPED, &labels).await);
    }

    let unexpected = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let request = stun_request(&format!("{ours}:{theirs}"));
    for _ in 0..20 {
        for datagram in [
            &[][..],
            &[0xff; 1_400],
            &[0x80; 200],
            &client_hello(),
            &client_hello()[..9],
            &stun_request("nobody:unknown"),
            &stun_request(&format!("{ours}:unknown")),
            &request,
            &request[..request.len() - 3],
            &request[..20],
        ] {
            let sent = unexpected.send_to(datagram, address).await;
            sent.expect("sent");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // No DTLS flight for an address that no check has validated: nobody is flooded through us.
    let mut buffer = [0; 2_048];
    while let Ok(length) = unexpected.try_recv(&mut buffer) {
        assert!(buffer[0] < 2, "{length} octets of type {}", buffer[0]);
    }

    // The true browser comes, and is connected.
    browser.take_answer(answer).await;
    browser.connected().await;
    talk.was_undisturbed().await;
    leg.refuse(486).await;
    page.hear_end("busy").await;
    talk.end().await;
    for ((side, reason, least), before) in wanted.into_iter().zip(before) {
        let labels = [("side", side), ("reason", reason)];
        setup.counted(DROPPED, &labels, before, least).await;
    }
}
