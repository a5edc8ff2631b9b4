//! A page's connection to `/rtc`: what it says and what it hears.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::sound::PATIENCE;

/// A connection.
pub struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Who the gateway says that this is.
    pub user: String,
    /// Statistics that came by.
    pub statistics: Vec<Value>,
}

impl Page {
    /// Opens the socket and says nothing.
    pub async fn open(address: SocketAddr) -> Self {
        let (socket, _) = connect_async(format!("ws://{address}/rtc"))
            .await
            .expect("the door opens");
        Page {
            socket,
            user: String::new(),
            statistics: Vec::new(),
        }
    }

    /// The same by a proxy, which says that it is for `client`.
    pub async fn open_for(address: SocketAddr, client: &str) -> Self {
        let mut request = format!("ws://{address}/rtc")
            .into_client_request()
            .expect("a URL");
        let client = client.parse().expect("a header value");
        request.headers_mut().insert("X-Forwarded-For", client);
        let (socket, _) = connect_async(request).await.expect("the door opens");
        Page {
            socket,
            user: String::new(),
            statistics: Vec::new(),
        }
    }

    /// Opens the socket and signs in as that user.
    pub async fn user(address: SocketAddr, name: &str, password: &str) -> Self {
        let mut page = Page::open(address).await;
        page.hello(json!({"user": name, "password": password}))
            .await;
        page
    }

    /// Says hello with `credentials`, and is welcome.
    pub async fn hello(&mut self, credentials: Value) -> Value {
        self.ask_in(credentials).await;
        let welcome = self.hear("welcome").await;
        self.user = welcome["user"].as_str().expect("a user").to_owned();
        welcome
    }

    /// Says hello with `credentials`.
    pub async fn ask_in(&mut self, mut credentials: Value) {
        credentials["type"] = "hello".into();
        credentials["version"] = 1.into();
        self.say(credentials).await;
    }

    pub async fn say(&mut self, message: Value) {
        self.say_text(message.to_string()).await;
    }

    pub async fn say_text(&mut self, text: String) {
        self.send(Message::text(text)).await.expect("it is open");
    }

    pub async fn send(&mut self, message: Message) -> Result<(), String> {
        let sent = self.socket.send(message).await;
        sent.map_err(|error| error.to_string())
    }

    /// The next message but candidates, which must be of this type. Statistics are kept aside.
    pub async fn hear(&mut self, kind: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// `ended`, with this reason.
    pub async fn hear_end(&mut self, reason: &str) -> Value {
        let ended = self.hear("ended").await;
        assert_eq!(ended["reason"], reason, "{ended}");
        ended
    }

    /// `error`, with this code.
    pub async fn hear_error(&mut self, code: &str) -> Value {
        let error = self.hear("error").await;
        assert_eq!(error["code"], code, "{error}");
        error
    }

    /// `goodbye` with this reason, and then the end of the connection.
    pub async fn hear_goodbye(&mut self, reason: &str) -> Option<CloseFrame> {
        let goodbye = self.hear("goodbye").await;
        assert_eq!(goodbye["reason"], reason);
        self.closed().await
    }

    /// The connection ends; nothing more is said.
    pub async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match self.frame(PATIENCE).await {
                None | Some(Err(_)) => return None,
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(Message::Text(text))) => panic!("said after goodbye: {text}"),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Nothing but candidates and statistics comes for this long.
    pub async fn hear_nothing(&mut self, time: Duration) {
        let next = tokio::time::timeout(time, self.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// `media` of this side.
    pub async fn hear_media(&mut self, side: &str, silent: bool) {
        let media = loop {
            let message = self.message().await;
            match message["type"].as_str() {
                Some("candidate" | "statistics") => {}
                _ => break message,
            }
        };
        assert_eq!(media["type"], "media", "{media}");
        assert_eq!(media["side"], side, "{media}");
        assert_eq!(media["silent"], silent, "{media}");
    }

    /// The next message but candidates, statistics and `media`, which come by time.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = self.message().await;
            match message["type"].as_str() {
                Some("candidate" | "media") => {}
                Some("statistics") => self.statistics.push(message),
                _ => return message,
            }
        }
    }

    async fn message(&mut self) -> Value {
        loop {
            match self.frame(PATIENCE).await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).expect("messages are JSON");
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the connection ended: {other:?}"),
            }
        }
    }

    async fn frame(
        &mut self,
        patience: Duration,
    ) -> Option<Result<Message, tokio_tungstenite::tungstenite::Error>> {
        tokio::time::timeout(patience, self.socket.next())
            .await
            .expect("the gateway says something")
    }

    /// Places a call.
    pub async fn call(&mut self, call: &str, to: &str, offer: &str) {
        self.say(json!({"type": "call", "call": call, "to": to, "sdp": offer}))
            .await;
    }

    pub async fn hang_up(&mut self, call: &str) {
        self.say(json!({"type": "hangup", "call": call})).await;
    }
}
