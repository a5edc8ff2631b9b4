//! One INVITE, several telephones, in plain text: what the browser hears moves, its answer stays.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::time::{Duration, timeout};

use crate::browser::Browser;
use crate::page::Page;
use crate::pbx::{Telephone, rtp_address};
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE};

/// A proxy and all telephones behind it, writing SIP by hand.
struct Proxy {
    socket: UdpSocket,
    gateway: SocketAddr,
    invite: String,
}

/// One header of a message.
fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    line.unwrap_or_else(|| panic!("no {name} in {message}"))
}

impl Proxy {
    /// A gateway whose trunk is this, and a page whose call has arrived here.
    async fn called() -> (Setup, Page, Browser, Self) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("its address");
        let setup = Setup::with(|settings| {
            settings.trunk[0].addressing.target = format!("sip:{address};transport=udp");
        })
        .await;
        let mut page = setup.page("alice").await;
        let mut browser = Browser::new(Coding::Opus).await;
        page.call("c1", "600", &browser.offer().await).await;
        let mut proxy = Proxy {
            socket,
            gateway: setup.sip,
            invite: String::new(),
        };
        proxy.invite = proxy.hear("INVITE ").await;
        let answer = page.hear("answer").await;
        browser
            .take_answer(answer["sdp"].as_str().expect("SDP"))
            .await;
        browser.send_tone(440.0);
        (setup, page, browser, proxy)
    }

    async fn send(&self, message: &str) {
        let sent = self.socket.send_to(message.as_bytes(), self.gateway).await;
        sent.expect("sent");
    }

    /// The next message that begins so; others are passed over.
    async fn hear(&self, beginning: &str) -> String {
        let mut buffer = [0; 8_192];
        let hearing = async {
            loop {
                let (length, _) = self.socket.recv_from(&mut buffer).await.expect("it works");
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.starts_with(beginning) {
                    return text;
                }
            }
        };
        timeout(PATIENCE, hearing)
            .await
            .unwrap_or_else(|_| panic!("no {beginning}"))
    }

    /// Answers a request as the telephone of that tag.
    async fn answer(&self, request: &str, status: &str, tag: &str, extra: &str, body: &str) {
        let to = header(request, "To");
        let to = match to.contains(";tag=") {
            true => to.to_owned(),
            false => format!("{to};tag={tag}"),
        };
        let contact = self.socket.local_addr().expect("its address");
        let kind = match body.is_empty() {
            true => "",
            false => "Content-Type: application/sdp\r\n",
        };
        self.send(&format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:{tag}@{contact}>\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            header(request, "Via"),
            header(request, "From"),
            header(request, "Call-ID"),
            header(request, "CSeq"),
            body.len()
        ))
        .await;
    }

    /// A reliable 183 of that telephone, and its PRACK answered.
    async fn progress(&self, tag: &str, number: u32, body: &str) {
        let extra = format!("Require: 100rel\r\nRSeq: {number}\r\n");
        let status = "183 Session Progress";
        self.answer(&self.invite, status, tag, &extra, body).await;
        let prack = self.hear("PRACK ").await;
        assert_eq!(header(&prack, "RAck"), format!("{number} 1 INVITE"));
        assert!(prack.starts_with(&format!("PRACK sip:{tag}@")), "{prack}");
        self.answer(&prack, "200 OK", tag, "", "").await;
    }

    /// A request of that telephone in its dialog.
    async fn request(&self, method: &str, sequence: u32, tag: &str, body: &str) {
        let via = self.socket.local_addr().expect("its address");
        self.send(&format!(
            "{method} sip:gateway@{} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {via};branch=z9hG4bK-{tag}-{sequence};rport\r\nMax-Forwards: 70\r\n\
             From: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:{tag}@{via}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.gateway,
            header(&self.invite, "To"),
            header(&self.invite, "From"),
            header(&self.invite, "Call-ID"),
            body.len()
        ))
        .await;
    }
}

/// A telephone that says this tone.
async fn telephone(proxy: &Proxy, coding: Coding, frequency: f64) -> Telephone {
    let telephone = Telephone::new(coding).await;
    telephone.speak_to(rtp_address(&proxy.invite));
    telephone.send_tone(frequency);
    telephone
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forks_play_and_one_answers_and_the_browser_keeps_its_one_answer() {
    let (setup, mut page, browser, proxy) = Proxy::called().await;
    let mut first = telephone(&proxy, Coding::Pcmu, 425.0).await;
    let mut second = telephone(&proxy, Coding::Pcma, 600.0).await;
    let first_description = first.describe("sendrecv");
    proxy.progress("first", 7, &first_description).await;
    page.hear("early-media").await;
    browser.recorder.hears(425.0).await;
    first.recorder.hears(440.0).await;

    let second_description = second.describe("sendrecv");
    proxy.progress("second", 100, &second_description).await;
    browser.recorder.hears(600.0).await;
    second.recorder.hears(440.0).await;
    // Ringing without a description takes nothing away.
    proxy
        .answer(&proxy.invite, "180 Ringing", "third", "", "")
        .await;

    // The first answers and has said already where it is.
    proxy.answer(&proxy.invite, "200 OK", "first", "", "").await;
    let ack = proxy.hear("ACK ").await;
    assert!(ack.starts_with("ACK sip:first@"), "{ack}");
    page.hear("answered").await;
    second.set_speaking(false);
    browser.recorder.hears(425.0).await;
    first.recorder.hears(440.0).await;

    // The second answers too late.
    proxy
        .answer(&proxy.invite, "200 OK", "second", "", &second_description)
        .await;
    let ack = proxy.hear("ACK ").await;
    assert!(ack.starts_with("ACK sip:second@"), "{ack}");
    let bye = proxy.hear("BYE ").await;
    assert!(header(&bye, "To").ends_with(";tag=second"), "{bye}");
    assert_eq!(header(&bye, "CSeq"), "3 BYE");
    proxy.answer(&bye, "200 OK", "second", "", "").await;
    browser.recorder.hears(425.0).await;

    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    let bye = proxy.hear("BYE ").await;
    assert!(header(&bye, "To").ends_with(";tag=first"), "{bye}");
    proxy.answer(&bye, "200 OK", "first", "", "").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_before_the_answer_moves_the_sound() {
    let (_world, mut page, browser, proxy) = Proxy::called().await;
    let mut queue = telephone(&proxy, Coding::Pcmu, 425.0).await;
    let mut agent = telephone(&proxy, Coding::Pcma, 1_004.0).await;
    proxy
        .progress("queue", 1, &queue.describe("sendrecv"))
        .await;
    page.hear("early-media").await;
    browser.recorder.hears(425.0).await;
    let description = agent.describe("sendrecv");
    proxy.request("UPDATE", 1, "queue", &description).await;
    let updated = proxy.hear("SIP/2.0 200").await;
    assert_eq!(header(&updated, "CSeq"), "1 UPDATE");
    assert!(updated.contains("RTP/AVP 8"), "{updated}");
    queue.set_speaking(false);
    browser.recorder.hears(1_004.0).await;
    agent.recorder.hears(440.0).await;
    proxy.answer(&proxy.invite, "200 OK", "queue", "", "").await;
    proxy.hear("ACK ").await;
    page.hear("answered").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    browser.recorder.hears(1_004.0).await;
    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
}
