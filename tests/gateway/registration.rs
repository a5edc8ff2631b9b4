//! The gateway registers at a PBX: digest, refresh, a wrong password, taken back at the end.

use std::net::SocketAddr;

use md5::{Digest, Md5};
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use rtc_stun::xoraddr::XorMappedAddress;
use tokio::net::UdpSocket;
use trunkline::redacted::Redacted;
use trunkline::settings::{Secret, Settings};

use crate::setup::Setup;
use crate::sound::{PATIENCE, until_async};

const REALM: &str = "pbx.example";
const NONCE: &str = "5d0c77e1";

/// A registrar in plain text, which knows one user.
pub struct Registrar {
    pub socket: UdpSocket,
}

/// One request.
pub struct Asked {
    pub text: String,
    pub from: SocketAddr,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn parameter(&self, name: &str) -> String {
        let credentials = self.header("Authorization").expect("credentials");
        let value = credentials
            .trim_start_matches("Digest ")
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches('"').to_owned()
    }

    pub fn expires(&self) -> u32 {
        let value = self.header("Expires").expect("how long");
        value.parse().expect("a number")
    }
}

fn md5(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Registrar {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        Registrar { socket }
    }

    fn serve(&self, settings: &mut Settings, password: &str) {
        let address = self.socket.local_addr().expect("its address");
        let trunk = &mut settings.trunk[0];
        trunk.addressing.target = format!("sip:{address}");
        trunk.account.username = Some("gw".to_owned());
        trunk.account.password = Some(Secret(Redacted::new(password.to_owned())));
        trunk.account.register = true;
        // It takes registrations only.
        trunk.addressing.health_check = Some(0);
    }

    pub async fn asked(&self) -> Asked {
        let mut buffer = [0; 4_096];
        let (length, from) = loop {
            let (length, from) = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer))
                .await
                .expect("the gateway registers")
                .expect("the socket works");
            // STUN is no SIP.
            if buffer[0] > 1 {
                break (length, from);
            }
        };
        let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
        Asked { text, from }
    }

    /// The next STUN request that is none of `before`, and who sent it.
    async fn checked(&self, before: &mut Vec<TransactionId>) -> (Message, SocketAddr) {
        let mut buffer = [0; 4_096];
        loop {
            let (length, from) = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer))
                .await
                .expect("the gateway checks its way")
                .expect("the socket works");
            let mut message = Message::new();
            if message.unmarshal_binary(&buffer[..length]).is_ok()
                && !before.contains(&message.transaction_id)
            {
                before.push(message.transaction_id);
                assert_eq!(message.typ, BINDING_REQUEST);
                return (message, from);
            }
        }
    }

    /// Says that a request came from there.
    async fn sees(&self, (request, from): &(Message, SocketAddr), seen: SocketAddr) {
        let mut message = Message::new();
        message.typ = BINDING_SUCCESS;
        message.transaction_id = request.transaction_id;
        message.write_header();
        let (ip, port) = (seen.ip(), seen.port());
        let mapped = XorMappedAddress { ip, port };
        mapped.add_to(&mut message).expect("it fits");
        let sent = self.socket.send_to(&message.raw, from).await;
        sent.expect("sent");
    }

    pub async fn answer(&self, asked: &Asked, status: &str, more: &str) {
        let mut response = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let value = asked.header(name).expect("a mandatory header");
            let tag = if name == "To" { ";tag=r" } else { "" };
            response += &format!("{name}: {value}{tag}\r\n");
        }
        response += &format!("{more}Content-Length: 0\r\n\r\n");
        let sent = self.socket.send_to(response.as_bytes(), asked.from).await;
        sent.expect("sent");
    }

    /// Challenges a REGISTER and takes the next, whose digest is compared with that of
    /// `password` (RFC 2617 section 3.2.2.1).
    pub async fn challenge(&self, password: &str) -> (Asked, bool) {
        let first = self.asked().await;
        let challenge = format!(
            "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{NONCE}\", algorithm=MD5, qop=\"auth\"\r\n"
        );
        self.answer(&first, "401 Unauthorized", &challenge).await;
        let mut second = self.asked().await;
        // A busy machine may have repeated the first meanwhile.
        while second.header("CSeq") == first.header("CSeq") {
            second = self.asked().await;
        }
        let right = self.is_right(&second, password);
        (second, right)
    }

    fn is_right(&self, asked: &Asked, password: &str) -> bool {
        let uri = asked.text.split(' ').nth(1).expect("a request line");
        assert_eq!(asked.parameter("uri"), uri);
        let user = asked.parameter("username");
        let one = md5(&format!("{user}:{REALM}:{password}"));
        let two = md5(&format!("REGISTER:{uri}"));
        let wanted = md5(&format!(
            "{one}:{NONCE}:{}:{}:auth:{two}",
            asked.parameter("nc"),
            asked.parameter("cnonce")
        ));
        asked.parameter("response") == wanted
    }

    pub async fn accept(&self, asked: &Asked, seconds: u32) {
        let contact = asked.header("Contact").expect("a contact").to_owned();
        let contact = contact.split(";expires").next().expect("a part").to_owned();
        let more = format!("Contact: {contact};expires={seconds}\r\n");
        self.answer(asked, "200 OK", &more).await;
    }
}

async fn health_says(setup: &Setup, state: &str) {
    until_async(state, async || {
        let health: serde_json::Value =
            serde_json::from_str(&setup.get("/health").await).expect("JSON");
        health["registrations"]["pbx"] == state
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_registers_refreshes_and_unregisters() {
    let registrar = Registrar::start().await;
    let setup = Setup::with(|settings| registrar.serve(settings, "sesame")).await;
    let (asked, right) = registrar.challenge("sesame").await;
    assert!(right, "{}", asked.text);
    assert_eq!(asked.parameter("username"), "gw");
    assert_eq!(asked.expires(), 300);
    let contact = asked.header("Contact").expect("a contact");
    assert!(contact.contains(&setup.sip.to_string()), "{contact}");
    registrar.accept(&asked, 3).await;
    health_says(&setup, "registered").await;

    // Three seconds were granted: it comes again of itself, with the nonce that it knows.
    let mut refresh = registrar.asked().await;
    while refresh.header("CSeq") == asked.header("CSeq") {
        refresh = registrar.asked().await;
    }
    assert!(registrar.is_right(&refresh, "sesame"), "{}", refresh.text);
    assert_eq!(refresh.header("Call-ID"), asked.header("Call-ID"));
    registrar.accept(&refresh, 3_600).await;

    let stopping = tokio::spawn(setup.gateway.stop());
    let mut last = registrar.asked().await;
    while last.expires() != 0 {
        last = registrar.asked().await;
    }
    assert!(registrar.is_right(&last, "sesame"), "{}", last.text);
    registrar.answer(&last, "200 OK", "").await;
    stopping.await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_tried_once_and_shown() {
    let registrar = Registrar::start().await;
    let setup = Setup::with(|settings| registrar.serve(settings, "guess")).await;
    let (asked, right) = registrar.challenge("sesame").await;
    assert!(!right);
    assert!(!asked.text.contains("guess"), "{}", asked.text);
    registrar.answer(&asked, "403 Forbidden", "").await;
    health_says(&setup, "failed: 403").await;
}

async fn counted(setup: &Setup, line: &str) {
    until_async(line, async || setup.get("/metrics").await.contains(line)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_moves_is_found_by_stun_from_the_sip_port_and_registered_anew() {
    let registrar = Registrar::start().await;
    let setup = Setup::with(|settings| registrar.serve(settings, "sesame")).await;
    let (asked, _) = registrar.challenge("sesame").await;
    let grant = async |asked: &Asked| {
        let contact = asked.header("Contact").expect("a contact");
        let granted = format!("Contact: {contact}\r\nRequire: outbound\r\nFlow-Timer: 1\r\n");
        registrar.answer(asked, "200 OK", &granted).await;
    };
    grant(&asked).await;
    let mut before = Vec::new();
    for _ in 0..2 {
        let check = registrar.checked(&mut before).await;
        assert_eq!(check.1, setup.sip, "from the port of SIP");
        registrar.sees(&check, setup.sip).await;
    }
    let moved: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    let check = registrar.checked(&mut before).await;
    registrar.sees(&check, moved).await;
    let mut again = registrar.asked().await;
    while again.header("CSeq") == asked.header("CSeq") {
        again = registrar.asked().await;
    }
    assert!(again.text.starts_with("REGISTER "), "{}", again.text);
    assert_eq!(again.header("Call-ID"), asked.header("Call-ID"));
    let contact = again.header("Contact").expect("a contact");
    assert!(contact.contains("@127.0.0.1:9"), "{contact}");
    counted(
        &setup,
        "trunkline_sip_flow_failures_total{reason=\"moved\"} 1",
    )
    .await;
    grant(&again).await;
    let check = registrar.checked(&mut before).await;
    registrar.sees(&check, moved).await;

    // What nobody asked for is not answered, and harms nothing.
    let unexpected = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let (request, _) = registrar.checked(&mut before).await;
    let sent = unexpected.send_to(&request.raw, setup.sip).await;
    sent.expect("sent");
    counted(
        &setup,
        "trunkline_sip_rejected_total{reason=\"stun_request\"} 1",
    )
    .await;
    let mut buffer = [0; 64];
    assert!(unexpected.try_recv(&mut buffer).is_err());
    health_says(&setup, "registered").await;
}
