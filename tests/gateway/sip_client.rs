//! A user agent by SIP over WebSocket, written by hand: messages as text, digests computed here.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use md5::{Digest, Md5};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::sound::PATIENCE;

/// The instance of every client but those of one test.
pub const INSTANCE: &str = "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";

/// A client's connection.
pub struct SipClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    user: String,
    /// Its host, different for each connection.
    host: String,
    sequence: u32,
}

/// A message of the gateway.
#[derive(Clone, Debug)]
pub struct Said {
    pub first: String,
    head: String,
    pub body: String,
}

impl Said {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let (first, head) = head.split_once("\r\n").expect("headers");
        Said {
            first: first.to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The values of a header.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    pub fn value(&self, name: &str) -> &str {
        self.values(name).first().copied().unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        let status = self.first.strip_prefix("SIP/2.0 ").expect("a response");
        status[..3].parse().expect("a status")
    }

    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }
}

impl SipClient {
    pub async fn connect(address: SocketAddr, user: &str) -> Self {
        let socket = SipClient::open(address, "sip").await.expect("it opens");
        let port = match socket.get_ref() {
            MaybeTlsStream::Plain(stream) => stream.local_addr().expect("bound").port(),
            _ => unreachable!("it is plain"),
        };
        SipClient {
            socket,
            user: user.to_owned(),
            host: format!("c{port}.invalid"),
            sequence: 0,
        }
    }

    /// The same with this subprotocol.
    pub async fn open(
        address: SocketAddr,
        subprotocol: &str,
    ) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, String> {
        let mut request = format!("ws://{address}/sip")
            .into_client_request()
            .expect("a URL");
        if !subprotocol.is_empty() {
            let value = subprotocol.parse().expect("a header value");
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", value);
        }
        let opened = connect_async(request).await;
        opened
            .map(|(socket, _)| socket)
            .map_err(|error| error.to_string())
    }

    pub async fn say(&mut self, text: &str) {
        let sent = self.socket.send(Message::text(text)).await;
        sent.expect("it is open");
    }

    pub async fn say_octets(&mut self, octets: Vec<u8>) -> Result<(), String> {
        let sent = self.socket.send(Message::binary(octets)).await;
        sent.map_err(|error| error.to_string())
    }

    /// The next message.
    pub async fn hear(&mut self) -> Said {
        Said::read(&self.hear_text().await)
    }

    pub async fn hear_text(&mut self) -> String {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("the gateway says something") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the connection ended: {other:?}"),
            }
        }
    }

    /// The end of the connection.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("it ends") {
                None | Some(Err(_)) => return None,
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Nothing comes for this long.
    pub async fn hear_nothing(&mut self, time: std::time::Duration) {
        let next = tokio::time::timeout(time, self.hear_text()).await;
        assert!(next.is_err(), "{next:?}");
    }

    fn contact(&self) -> String {
        format!("<sip:me@{};transport=ws>", self.host)
    }

    /// The head of a request outside dialogs; `tag` is also its Call-ID.
    pub fn request(&mut self, method: &str, to: &str, tag: &str, lines: &str) -> String {
        self.sequence += 1;
        let (sequence, host, user) = (self.sequence, &self.host, &self.user);
        let uri = match method {
            "REGISTER" => "sip:pbx.example".to_owned(),
            _ => format!("sip:{to}@pbx.example"),
        };
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/WS {host};branch=z9hG4bK{tag}{sequence}\r\n\
             Max-Forwards: 69\r\n\
             To: <sip:{to}@pbx.example>\r\n\
             From: <sip:{user}@pbx.example>;tag={tag}\r\n\
             Call-ID: {tag}-{host}\r\n\
             CSeq: {sequence} {method}\r\n{lines}"
        )
    }

    async fn register_with(&mut self, lines: &str) -> Said {
        let user = self.user.clone();
        let request = self.request("REGISTER", &user, "r", lines);
        self.say(&format!("{request}\r\n")).await;
        self.hear().await
    }

    /// REGISTER with this password, and the instance of every client.
    pub async fn register(&mut self, password: &str) -> Said {
        self.register_as(password, INSTANCE, 600).await
    }

    pub async fn register_as(&mut self, password: &str, instance: &str, expires: u32) -> Said {
        let contact = self.contact();
        let lines = format!(
            "Contact: {contact};reg-id=1;+sip.instance=\"{instance}\";expires={expires}\r\n\
             Supported: path,gruu,outbound\r\n"
        );
        let challenged = self.register_with(&lines).await;
        if challenged.status() != 401 {
            return challenged;
        }
        let answer = self.authorization(&challenged, "REGISTER", "sip:pbx.example", password);
        self.register_with(&format!("{lines}{answer}")).await
    }

    /// The answer to the last challenge, as MD5 (RFC 7616).
    pub fn authorization(
        &self,
        challenged: &Said,
        method: &str,
        uri: &str,
        password: &str,
    ) -> String {
        let challenges = challenged.values("WWW-Authenticate");
        let challenge = challenges.last().expect("a challenge");
        assert!(challenge.contains("algorithm=MD5"), "{challenge}");
        let param = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\"")).expect("there");
            rest.split('"').next().expect("its end").to_owned()
        };
        let (realm, nonce) = (param("realm"), param("nonce"));
        let user = &self.user;
        let secret = hash(&format!("{user}:{realm}:{password}"));
        let request = hash(&format!("{method}:{uri}"));
        let response = hash(&format!("{secret}:{nonce}:00000001:c0ffee:auth:{request}"));
        format!(
            "Authorization: Digest algorithm=MD5, username=\"{user}\", realm=\"{realm}\", \
             nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", qop=auth, \
             cnonce=\"c0ffee\", nc=00000001\r\n"
        )
    }

    /// INVITE with this offer.
    pub async fn invite(&mut self, to: &str, offer: &str) {
        let contact = self.contact();
        let lines = format!(
            "Contact: {contact}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n",
            offer.len()
        );
        let request = self.request("INVITE", to, "i", &lines);
        self.say(&format!("{request}\r\n{offer}")).await;
    }

    /// Answers a request of the gateway; `sdp` may be empty.
    pub async fn answer(&mut self, request: &Said, status: u16, sdp: &str) {
        let to = request.value("To");
        let tag = if to.contains(";tag=") {
            ""
        } else {
            ";tag=callee"
        };
        let kind = if sdp.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!(
            "SIP/2.0 {status} Any\r\nVia: {}\r\nTo: {to}{tag}\r\nFrom: {}\r\nCall-ID: {}\r\n\
             CSeq: {}\r\nContact: {}\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
            request.value("Via"),
            request.value("From"),
            request.value("Call-ID"),
            request.value("CSeq"),
            self.contact(),
            sdp.len()
        );
        self.say(&text).await;
    }

    /// A request in the dialog that this response of the gateway made.
    pub async fn in_dialog(&mut self, response: &Said, method: &str) {
        let (to, from) = (response.value("To"), response.value("From"));
        self.request_in_dialog(response, method, to, from).await;
    }

    /// The same in that which the gateway's INVITE made.
    pub async fn in_dialog_of(&mut self, invite: &Said, method: &str) {
        let own = format!("{};tag=callee", invite.value("To"));
        self.request_in_dialog(invite, method, invite.value("From"), &own)
            .await;
    }

    async fn request_in_dialog(&mut self, of: &Said, method: &str, to: &str, from: &str) {
        if method != "ACK" {
            self.sequence += 1;
        }
        let (sequence, host) = (self.sequence, &self.host);
        let text = format!(
            "{method} sip:gateway;transport=ws SIP/2.0\r\n\
             Via: SIP/2.0/WS {host};branch=z9hG4bK{method}{sequence}\r\nMax-Forwards: 69\r\n\
             To: {to}\r\nFrom: {from}\r\nCall-ID: {}\r\nCSeq: {sequence} {method}\r\n\r\n",
            of.value("Call-ID")
        );
        self.say(&text).await;
    }
}

fn hash(text: &str) -> String {
    let digest = Md5::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
