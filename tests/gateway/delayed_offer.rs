//! An INVITE without description, in plain text: our 200 carries the offer, the ACK the answer.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::UdpSocket;

use crate::browser::Browser;
use crate::pbx::{Telephone, rtp_address};
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE};

/// A caller that writes its SIP by hand.
struct Caller {
    socket: UdpSocket,
    gateway: SocketAddr,
    port: u16,
}

impl Caller {
    async fn new(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        Caller {
            socket,
            gateway,
            port,
        }
    }

    async fn say(&self, request: &str, to: &str, cseq: &str, body: &str) {
        let port = self.port;
        let branch = cseq.replace(' ', "-");
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let message = format!(
            "{request} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:ada@127.0.0.1>;tag=ada\r\nTo: {to}\r\n\
             Call-ID: delayed-{port}\r\nCSeq: {cseq}\r\nContact: <sip:ada@127.0.0.1:{port}>\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let sent = self.socket.send_to(message.as_bytes(), self.gateway).await;
        sent.expect("sent");
    }

    /// The next message that begins so; others, repeated ones among them, are passed over.
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
        tokio::time::timeout(PATIENCE, hearing)
            .await
            .unwrap_or_else(|_| panic!("no {beginning}"))
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    line.unwrap_or_else(|| panic!("no {name} in {message}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offer_goes_out_with_our_answer_and_audio_flows_both_ways() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let caller = Caller::new(setup.sip).await;
    let target = format!("sip:alice@{}", setup.sip);
    let to = "<sip:alice@127.0.0.1>";
    caller
        .say(&format!("INVITE {target}"), to, "1 INVITE", "")
        .await;
    let incoming = page.hear("incoming").await;
    caller.hear("SIP/2.0 180").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let answer = browser.answer(incoming["sdp"].as_str().expect("SDP")).await;
    page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
        .await;

    let answered = caller.hear("SIP/2.0 200").await;
    let (_, offer) = answered.split_once("\r\n\r\n").expect("a body");
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    telephone.speak_to(rtp_address(offer));
    let to = header(&answered, "To").to_owned();
    let contact = header(&answered, "Contact");
    let contact = contact.trim_start_matches('<').split(['>', ';']).next();
    let contact = contact.expect("an address").to_owned();
    let description = telephone.describe("sendrecv");
    caller
        .say(&format!("ACK {contact}"), &to, "1 ACK", &description)
        .await;
    page.hear("answered").await;
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;

    caller
        .say(&format!("BYE {contact}"), &to, "2 BYE", "")
        .await;
    let confirmed = caller.hear("SIP/2.0 200").await;
    assert!(header(&confirmed, "CSeq").contains("BYE"), "{confirmed}");
    page.hear_end("hangup-remote").await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pbx_makes_the_offer_where_the_trunk_says_so() {
    let mut setup = Setup::with(|settings| settings.trunk[0].dialogs.delayed_offer = true).await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    assert_eq!(leg.description, "");
    let mut telephone = Telephone::new(Coding::Pcma).await;
    leg.ring().await;
    leg.answer(telephone.describe("sendrecv")).await;
    let answer = match leg.event().await {
        trunkline::sip::Event::Confirmed { body: Some(body) } => body,
        other => panic!("{other:?}"),
    };
    let answer = String::from_utf8(answer.to_vec()).expect("SDP is text");
    telephone.speak_to(rtp_address(&answer));
    let description = page.hear("answer").await;
    let description = description["sdp"].as_str().expect("SDP");
    browser.take_answer(description).await;
    page.hear("ringing").await;
    page.hear("answered").await;
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;
    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    leg.over().await;
}
