//! SIP that is cut, trickled or noise, by UDP and by TCP.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE};

const REJECTED: &str = "trunkline_sip_rejected_total";

fn invite(setup: &Setup, transport: &str, port: u16, user: &str, number: usize) -> String {
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio 40000 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:{user}@{} SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:{port};branch=z9hG4bK-{number}\r\n\
         Max-Forwards: 70\r\nFrom: \"Eve\" <sip:eve@127.0.0.1>;tag=t{number}\r\nTo: <sip:{user}@127.0.0.1>\r\n\
         Call-ID: cut-{number}@127.0.0.1\r\nCSeq: 1 INVITE\r\nContact: <sip:eve@127.0.0.1:{port};transport={transport}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        setup.sip,
        body.len()
    )
}

/// A real call from the PBX still reaches the page.
async fn still_works(setup: &Setup) {
    let mut page = setup.page("bob").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut leg = setup.pbx.call("bob", telephone.describe("sendrecv")).await;
    page.hear("incoming").await;
    leg.hang_up().await;
    page.hear_end("cancelled").await;
    leg.over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_cut_at_every_byte_rings_nobody() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let mut page = setup.page("victim").await;
    let before = setup.counter(REJECTED, &[]).await;

    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let port = socket.local_addr().expect("its address").port();
    let whole = invite(&setup, "UDP", port, "victim", 0).len();
    for cut in 1..whole - 1 {
        let message = invite(&setup, "UDP", port, "victim", 1_000 + cut);
        let cut = cut.min(message.len() - 1);
        let sent = socket.send_to(&message.as_bytes()[..cut], setup.sip).await;
        sent.expect("sent");
        if cut % 50 == 0 {
            // The gateway's receive buffer is not what is tested.
            tokio::task::yield_now().await;
        }
    }
    for noise in [
        &[0_u8; 1_400][..],
        &[0xff; 1_400],
        b"\r\n\r\n",
        b"SIP/2.0",
        b"\0",
    ] {
        socket.send_to(noise, setup.sip).await.expect("sent");
    }
    for cut in (1..whole - 1).step_by(7) {
        let mut stream = TcpStream::connect(setup.sip).await.expect("it listens");
        let port = stream.local_addr().expect("its address").port();
        let message = invite(&setup, "TCP", port, "victim", 5_000 + cut);
        let written = stream.write_all(&message.as_bytes()[..cut]).await;
        written.expect("written");
    }
    setup.counted(REJECTED, &[], before, 100.0).await;
    page.hear_nothing(Duration::from_millis(300)).await;
    setup.has_calls(1).await;
    talk.was_undisturbed().await;
    talk.end().await;
    still_works(&setup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_crumbs_is_read_and_noise_ends_its_connection_only() {
    let mut setup = Setup::start().await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.witness();
    let before = setup.counter(REJECTED, &[]).await;

    let mut stream = TcpStream::connect(setup.sip).await.expect("it listens");
    stream.set_nodelay(true).expect("it is open");
    let port = stream.local_addr().expect("its address").port();
    let message = invite(&setup, "TCP", port, "nobody", 1);
    for byte in message.as_bytes().chunks(1) {
        stream.write_all(byte).await.expect("it is open");
    }
    let mut heard = String::new();
    let mut buffer = [0; 4_096];
    while !heard.contains("SIP/2.0 404") {
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .expect("it is answered")
            .expect("it is open");
        assert!(count > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }

    for noise in [
        "\u{0}".repeat(70_000),
        "INVITE sip:x SIP/2.0\r\n".repeat(9_000),
        "INVITE sip:x@y SIP/2.0\r\nContent-Length: 999999999\r\n\r\n".to_owned(),
        "INVITE sip:x@y SIP/2.0\r\nContent-Length: -1\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(setup.sip).await.expect("it listens");
        let _ = stream.write_all(noise.as_bytes()).await;
        let closed = async {
            // Answered or not, it is closed in the end.
            while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
        };
        tokio::time::timeout(PATIENCE, closed)
            .await
            .unwrap_or_else(|_| panic!("still open after {:?}", &noise[..20]));
    }
    setup.counted(REJECTED, &[], before, 4.0).await;
    talk.was_undisturbed().await;
    talk.end().await;
    still_works(&setup).await;
}
