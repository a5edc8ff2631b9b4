//! PBXs of both families at one gateway, host names in descriptions, and the warnings of refusals.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::UdpSocket;
use trunkline::settings::Trunk;
use trunkline::sip::{Target, Transport};

use crate::browser::Browser;
use crate::pbx::{Leg, Telephone};
use crate::setup::Setup;
use crate::sound::{Coding, PATIENCE};

/// A gateway that listens at `listen`, and a PBX that is reached and calls by IPv6.
async fn world_of_ipv6(listen: impl Fn(u16) -> Vec<String>, rtp: &[&str]) -> Setup {
    let loopback = "[::1]:0".parse().expect("an address");
    let at_loopback = |config: &mut trunkline::sip::Config| {
        config.listen[0].address = loopback;
        let gateway = config.trunks[0].targets[0].target.port.expect("a port");
        let gateway = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], gateway));
        config.trunks[0].targets[0].target = Target::at(gateway, Transport::Udp);
    };
    Setup::beside(Transport::Udp, at_loopback, |settings| {
        let port = settings.sip.listen[0].rsplit(':').next().expect("a port");
        settings.sip.listen = listen(port.parse().expect("a number"));
        let address = |text: &&str| text.parse().expect("an address");
        settings.media.rtp_address = rtp.iter().map(address).collect();
    })
    .await
}

/// Both hear each other.
async fn sounds(browser: &Browser, telephone: &Telephone) {
    browser.send_tone(440.0);
    telephone.send_tone(1_004.0);
    telephone.recorder.hears(440.0).await;
    browser.recorder.hears(1_004.0).await;
}

/// The page calls, the PBX's telephone answers with this description, and both hear each other.
async fn talks_outward(setup: &mut Setup, telephone: &Telephone, description: String) -> Leg {
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    leg.answer(description).await;
    leg.confirmed().await;
    let answer = page.hear("answer").await;
    browser
        .take_answer(answer["sdp"].as_str().expect("SDP"))
        .await;
    page.hear("answered").await;
    telephone.speak_to(leg.gateway_rtp());
    sounds(&browser, telephone).await;
    page.hang_up("c1").await;
    page.hear_end("hangup-local").await;
    leg.over().await;
    leg
}

/// The PBX calls with this description, the page answers, and both hear each other.
async fn talks_inward(setup: &Setup, telephone: &Telephone, description: String) -> Leg {
    let mut page = setup.page("bob").await;
    let mut leg = setup.pbx.call("bob", description).await;
    let incoming = page.hear("incoming").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let answer = browser.answer(incoming["sdp"].as_str().expect("SDP")).await;
    page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
        .await;
    page.hear("answered").await;
    leg.answered().await;
    telephone.speak_to(leg.gateway_rtp());
    sounds(&browser, telephone).await;
    leg.hang_up().await;
    page.hear_end("hangup-remote").await;
    leg
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trunk_of_ipv6_beside_ipv4_listener_talks_both_ways() {
    let listen = |port| vec![format!("udp:127.0.0.1:{port}"), format!("udp:[::1]:{port}")];
    let mut setup = world_of_ipv6(listen, &[]).await;
    let mut telephone = Telephone::at("::1", Coding::Pcmu).await;
    let description = telephone.describe("sendrecv");
    let leg = talks_outward(&mut setup, &telephone, description).await;
    assert!(
        leg.description.contains("c=IN IP6 ::1\r\n"),
        "{}",
        leg.description
    );
    let description = telephone.describe("sendrecv");
    let leg = talks_inward(&setup, &telephone, description).await;
    assert!(
        leg.description.contains("c=IN IP6 ::1\r\n"),
        "{}",
        leg.description
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_of_all_addresses_serves_trunks_of_both_families() {
    let listen = |port| vec![format!("udp:[::]:{port}"), format!("tcp:[::]:{port}")];
    let mut setup = world_of_ipv6(listen, &["127.0.0.1", "::1"]).await;
    let mut telephone = Telephone::at("::1", Coding::Pcmu).await;
    let description = telephone.describe("sendrecv");
    talks_outward(&mut setup, &telephone, description).await;
    let description = telephone.describe("sendrecv");
    talks_inward(&setup, &telephone, description).await;

    let mut setup = Setup::with(|settings| {
        let port = settings.sip.listen[0].rsplit(':').next().expect("a port");
        settings.sip.listen = vec![format!("udp:[::]:{port}"), format!("tcp:[::]:{port}")];
        let both = ["127.0.0.1", "::1"].map(|ip| ip.parse().expect("an address"));
        settings.media.rtp_address = both.to_vec();
    })
    .await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let description = telephone.describe("sendrecv");
    let leg = talks_outward(&mut setup, &telephone, description).await;
    assert!(
        leg.description.contains("c=IN IP4 127.0.0.1\r\n"),
        "{}",
        leg.description
    );
    let description = telephone.describe("sendrecv");
    talks_inward(&setup, &telephone, description).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_of_all_addresses_serves_ipv4_over_tcp() {
    let mut setup = Setup::over(Transport::Tcp, |settings| {
        let port = settings.sip.listen[0].rsplit(':').next().expect("a port");
        settings.sip.listen = vec![format!("tcp:[::]:{port}")];
        settings.media.rtp_address = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let description = telephone.describe("sendrecv");
    talks_outward(&mut setup, &telephone, description).await;
    let description = telephone.describe("sendrecv");
    talks_inward(&setup, &telephone, description).await;
}

/// Over IPv4, a listener of both families is seen by its IPv4 address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_of_all_addresses_writes_addresses_of_the_peers_family() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let trunk = socket.local_addr().expect("its address");
    let setup = Setup::with(|settings| {
        let port = settings.sip.listen[0].rsplit(':').next().expect("a port");
        settings.sip.listen = vec![format!("udp:[::]:{port}")];
        settings.media.rtp_address = vec!["127.0.0.1".parse().expect("an address")];
        settings.trunk[0].addressing.target = format!("sip:{trunk}");
    })
    .await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut buffer = [0; 4_096];
    let invite = loop {
        let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
        let (length, _) = received.expect("an INVITE in time").expect("received");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("INVITE ") {
            break text;
        }
    };
    let port = setup.sip.port();
    for written in [
        format!("\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};"),
        format!("@127.0.0.1:{port}>"),
        "\r\nc=IN IP4 127.0.0.1\r\n".to_owned(),
    ] {
        assert!(invite.contains(&written), "{written} in {invite}");
    }
    assert!(!invite.contains("::"), "{invite}");
    page.hang_up("c1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trunk_with_rtp_addresses_of_its_own_is_told_them() {
    let mut setup = Setup::with(|settings| {
        settings.trunk[0].rtp.address = vec!["127.0.0.2".parse().expect("an address")];
    })
    .await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let description = telephone.describe("sendrecv");
    let leg = talks_outward(&mut setup, &telephone, description).await;
    assert!(
        leg.description.contains("c=IN IP4 127.0.0.2\r\n"),
        "{}",
        leg.description
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_falls_back_to_trunk_of_the_other_family_with_its_own_rtp() {
    let mut setup = Setup::with(|settings| {
        let port: u16 = settings.sip.listen[0]
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        settings.sip.listen.push(format!("udp:[::1]:{port}"));
        // Nobody answers there: its port is closed.
        settings.trunk.push(Trunk::new("dead", "sip:[::1]:9"));
        settings.route[0].trunk = "dead".to_owned();
        settings.route[0].fallback = vec!["pbx".to_owned()];
    })
    .await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let description = telephone.describe("sendrecv");
    let leg = talks_outward(&mut setup, &telephone, description).await;
    assert!(
        leg.description.contains("c=IN IP4 127.0.0.1\r\n"),
        "{}",
        leg.description
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_in_a_family_without_rtp_ends_the_call_at_once() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    page.call("c1", "600", &browser.offer().await).await;
    let mut leg = setup.pbx.called().await;
    let telephone = Telephone::at("::1", Coding::Pcmu)
        .await
        .describe("sendrecv");
    leg.answer(telephone).await;
    page.hear("answer").await;
    page.hear_error("bad-pbx-description").await;
    page.hear_end("bad-pbx-description").await;
    leg.over().await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_descriptions_are_looked_up() {
    let mut setup = Setup::start().await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let mut named = || {
        let description = telephone.describe("sendrecv");
        description.replace("127.0.0.1\r\nt=", "localhost\r\nt=")
    };
    let (outward, inward) = (named(), named());
    talks_outward(&mut setup, &telephone, outward).await;
    talks_inward(&setup, &telephone, inward).await;
}

/// A PBX on a plain socket at the trunk's address.
struct Wire {
    socket: UdpSocket,
    gateway: SocketAddr,
    port: u16,
    calls: u32,
}

impl Wire {
    async fn new(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let port = socket.local_addr().expect("its address").port();
        Wire {
            socket,
            gateway,
            port,
            calls: 0,
        }
    }

    async fn invite(&mut self, user: &str, body: &str) -> u32 {
        self.calls += 1;
        let (call, port, gateway) = (self.calls, self.port, self.gateway);
        let message = format!(
            "INVITE sip:{user}@{gateway} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-dual-{call}\r\nMax-Forwards: 70\r\n\
             From: <sip:eve@127.0.0.1>;tag=t{call}\r\nTo: <sip:{user}@127.0.0.1>\r\n\
             Call-ID: dual-{call}-{port}\r\nCSeq: 1 INVITE\r\nContact: <sip:eve@127.0.0.1:{port}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let sent = self.socket.send_to(message.as_bytes(), gateway).await;
        sent.expect("sent");
        call
    }

    /// The final response to that call; earlier ones are passed over.
    async fn final_response(&self, call: u32) -> String {
        let until = Instant::now() + PATIENCE;
        let mut buffer = [0; 4_096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let received = tokio::time::timeout(left, self.socket.recv(&mut buffer)).await;
            let length = received.expect("a response in time").expect("received");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let is_final = !text.starts_with("SIP/2.0 1") && text.starts_with("SIP/2.0 ");
            if is_final && text.contains(&format!("Call-ID: dual-{call}-{}\r\n", self.port)) {
                return text;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_offer_is_told_what_is_wrong_in_a_warning() {
    let setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut wire = Wire::new(setup.sip).await;
    let good = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 0\r\n";
    for (from, to, warning) in [
        ("c=IN IP4 127.0.0.1", "c=IN IP6 2001:db8::1", 301),
        ("c=IN IP4 127.0.0.1", "c=IN IP7 127.0.0.1", 301),
        ("c=IN IP4 127.0.0.1", "c=IN IP6 127.0.0.1", 301),
        ("c=IN IP4 127.0.0.1", "c=TN RFC2543 1", 300),
        ("c=IN IP4 127.0.0.1", "c=IN IP4 224.1.1.1/127", 330),
        ("m=audio", "m=image", 304),
        ("RTP/AVP", "RTP/SAVP", 302),
        ("AVP 0", "AVP 18", 305),
    ] {
        let call = wire.invite("alice", &good.replace(from, to)).await;
        let response = wire.final_response(call).await;
        assert!(response.starts_with("SIP/2.0 488 "), "{to}: {response}");
        let expected = format!("\r\nWarning: {warning} trunkline \"");
        assert!(response.contains(&expected), "{to}: {response}");
    }
    page.hear_nothing(Duration::from_millis(200)).await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookup_of_a_name_keeps_no_other_call_waiting() {
    // A name server that never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let server = silent.local_addr().expect("its address");
    let setup = Setup::with(|settings| settings.sip.dns_servers = vec![server.to_string()]).await;
    let mut page = setup.page("alice").await;
    let mut wire = Wire::new(setup.sip).await;
    let good = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 0\r\n";
    let named = good.replace("c=IN IP4 127.0.0.1", "c=IN IP4 media.pbx.example");
    let began = Instant::now();
    let waiting = wire.invite("alice", &named).await;
    wire.invite("alice", good).await;
    page.hear("incoming").await;
    // The lookup takes five seconds: the second call has not waited for it.
    assert!(began.elapsed() < Duration::from_secs(3));
    let response = wire.final_response(waiting).await;
    assert!(response.starts_with("SIP/2.0 488 "), "{response}");
    assert!(
        response.contains("\r\nWarning: 301 trunkline \""),
        "{response}"
    );
    assert!(response.contains("media.pbx.example"), "{response}");
}
