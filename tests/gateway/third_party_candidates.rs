//! A client whose description names addresses of third parties: its call is set up, and they get
//! next to nothing.

use std::net::UdpSocket;
use std::time::Duration;

use crate::browser::Browser;
use crate::setup::Setup;
use crate::sound::Coding;

const REJECTED: &str = "trunkline_ice_candidates_rejected_total";

fn line(index: usize, address: &str, port: u16) -> String {
    format!("a=candidate:{index} 1 udp 2130706431 {address} {port} typ host\r\n")
}

/// Takes all that has arrived at these sockets.
fn arrived(sockets: &[UdpSocket]) -> usize {
    let mut bytes = [0; 2_048];
    let count = |socket: &UdpSocket| {
        socket.set_nonblocking(true).expect("an option");
        std::iter::from_fn(|| socket.recv_from(&mut bytes).ok()).count()
    };
    sockets.iter().map(count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn third_party_candidates_neither_delay_a_call_nor_get_a_flood() {
    let mut setup = Setup::start().await;
    let reasons = ["address", "port", "malformed", "surplus", "ignored"];
    let mut before = Vec::new();
    for reason in reasons {
        before.push(setup.counter(REJECTED, &[("reason", reason)]).await);
    }
    let third: Vec<UdpSocket> = (0..40)
        .map(|_| UdpSocket::bind("127.0.0.9:0").expect("all of 127/8 is loopback"))
        .collect();
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let mut offer = browser.offer().await;
    for (index, address) in [
        "224.0.0.251",
        "255.255.255.255",
        "0.0.0.0",
        "::ffff:239.1.1.1",
    ]
    .into_iter()
    .enumerate()
    {
        offer.push_str(&line(index, address, 5_353));
    }
    offer.push_str(&line(10, "127.0.0.9", 53));
    offer.push_str("a=candidate:11 1 udp 1 127.0.0.9 5000\r\n");
    offer.push_str("a=candidate:12 1 tcp 1 127.0.0.9 9 typ host tcptype active\r\n");
    for (index, socket) in third.iter().enumerate() {
        let port = socket.local_addr().expect("bound").port();
        offer.push_str(&line(100 + index, "127.0.0.9", port));
    }
    page.call("c1", "600", &offer).await;
    let answer = page.hear("answer").await;
    browser
        .take_answer(answer["sdp"].as_str().expect("SDP"))
        .await;
    browser.connected().await;
    let least = [4.0, 1.0, 1.0, 8.0, 1.0];
    for ((reason, before), least) in reasons.into_iter().zip(before).zip(least) {
        let labels = &[("reason", reason)];
        setup.counted(REJECTED, labels, before, least).await;
    }
    let during = arrived(&third);
    assert!(during <= 50, "{during} before the call was connected");
    // Longer than the first repetition takes.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(arrived(&third), 0, "after the call was connected");
    setup.pbx.called().await.refuse(486).await;
    page.hear_end("busy").await;
}
