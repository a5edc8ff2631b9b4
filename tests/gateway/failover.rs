//! A PBX dies with a call of ours in its hands: the next one rings, and the page knows of one call.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline::settings::TrunkTarget;
use trunkline::sip::Transport;

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::{Leg, Telephone};
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE};

/// What the project promises between a failure that was seen and the ringing of the next.
const PROMISED: Duration = Duration::from_secs(2);

/// Takes a connection, reads a whole INVITE from it, and says that it is on the way.
async fn trying(doomed: &TcpListener) -> (TcpStream, String) {
    let reading = async {
        let (mut stream, _) = doomed.accept().await.expect("the gateway connects");
        let mut invite = String::new();
        // Its description ends with a line end too: all that has come by then is all there is.
        while !invite.contains("\r\nm=audio ") || !invite.ends_with("\r\n") {
            let mut buffer = [0; 8_192];
            let length = stream.read(&mut buffer).await.expect("readable");
            assert_ne!(length, 0, "closed after {invite}");
            invite.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
        }
        (stream, invite)
    };
    let (mut stream, invite) = timeout(PATIENCE, reading).await.expect("an INVITE in time");
    assert!(invite.starts_with("INVITE sip:600@"), "{invite}");
    let kept: Vec<&str> = invite
        .lines()
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name)
        })
        .collect();
    let answer = format!(
        "SIP/2.0 100 Trying\r\n{}\r\nContent-Length: 0\r\n\r\n",
        kept.join("\r\n")
    );
    stream.write_all(answer.as_bytes()).await.expect("written");
    (stream, invite)
}

/// A gateway whose trunk has this place before the PBX, and finds it out by its calls alone.
async fn world_behind(transport: Transport, first: SocketAddr) -> Setup {
    Setup::over(transport, |settings| {
        let trunk = &mut settings.trunk[0];
        let target = |target: String, priority| TrunkTarget {
            target,
            priority,
            weight: 1,
        };
        let second = std::mem::take(&mut trunk.addressing.target);
        trunk.addressing.targets = vec![
            target(second, 2),
            target(format!("sip:{first};transport={transport}"), 1),
        ];
        trunk.addressing.health_check = Some(0);
    })
    .await
}

/// The PBX rings, and the page hears so after its answer.
async fn rings(leg: &Leg, page: &mut Page, browser: &Browser) {
    leg.ring().await;
    let answer = page.hear("answer").await;
    let answer = answer["sdp"].as_str().expect("SDP");
    browser.take_answer(answer).await;
    page.hear("ringing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_that_dies_in_mid_invite_is_left_and_the_next_one_rings_and_is_heard() {
    let doomed = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = doomed.local_addr().expect("its address");
    let mut setup = world_behind(Transport::Tcp, address).await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let (stream, first) = trying(&doomed).await;
    setup.pbx.hears_of_nothing(Duration::from_millis(300)).await;

    let died = Instant::now();
    drop(doomed);
    drop(stream);
    let mut leg = setup.pbx.called().await;
    rings(&leg, &mut page, &browser).await;
    let took = died.elapsed();
    println!("the next PBX rings {took:?} after the first one died");
    assert!(took < PROMISED, "{took:?}");
    assert!(first.contains(&leg.call_id), "it is the same call");

    let mut telephone = Telephone::new(Coding::Pcmu).await;
    leg.answer(telephone.describe("sendrecv")).await;
    leg.confirmed().await;
    page.hear("answered").await;
    telephone.speak_to(leg.gateway_rtp());
    browser.connected().await;
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;
    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    leg.over().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_whose_udp_port_is_closed_is_left_at_once_and_the_next_one_rings() {
    let closed = "127.0.0.1:1".parse().expect("an address");
    let mut setup = world_behind(Transport::Udp, closed).await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let called = Instant::now();
    page.call("c1", "600", &browser.offer().await).await;
    let leg = setup.pbx.called().await;
    rings(&leg, &mut page, &browser).await;
    let took = called.elapsed();
    println!("the next PBX rings {took:?} after the page called");
    // Silence is waited for 4 seconds.
    assert!(took < PROMISED, "{took:?}");
    page.hang_up("c1").await;
    page.hear_end("cancelled").await;
    browser.close().await;
}
