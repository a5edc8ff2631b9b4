//! The WebSocket of one client: messages in, messages out, and its close.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Error;
use super::attempts::Refused;
use super::door::Door;
use super::forwarded::Client;
use super::json::{ClientMessage, ServerMessage};
use super::reading::call_named;
use super::websocket::{CloseFrame, Fault, Message, WebSocket};
use crate::call::{EndReason, EndpointId, Refusal};

/// How long one message may take to go out.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that we close stays open for what the client still sends: to close with
/// input unread resets it, and our last messages are lost on the way.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Disconnect {
    /// The client closed it, or it broke.
    Gone,
    /// We close it: reason for `goodbye` and the WebSocket close code (RFC 6455 section 7.4).
    Close(&'static str, u16),
    /// The token that opened the session has expired.
    TokenExpired,
}

/// A client's connection.
pub(super) struct Connection {
    pub(super) socket: WebSocket,
    pub(super) door: Arc<Door>,
    pub(super) client: Client,
    pub(super) id: EndpointId,
}

impl Connection {
    pub(super) fn new(socket: WebSocket, door: Arc<Door>, client: Client, id: EndpointId) -> Self {
        Connection {
            socket,
            door,
            client,
            id,
        }
    }

    /// The next message that says something; none for pings and what was refused.
    pub(super) async fn read(&mut self) -> Result<Option<ClientMessage>, Disconnect> {
        let message = self.socket.recv().await;
        self.understand(message).await
    }

    pub(super) async fn understand(
        &mut self,
        message: Option<Result<Message, Fault>>,
    ) -> Result<Option<ClientMessage>, Disconnect> {
        let text = match message {
            None => return Err(Disconnect::Gone),
            Some(Err(fault)) => {
                tracing::debug!(session = %self.id, ?fault, "connection broke");
                let Some((refusal, text, close_code)) = fault.refusal() else {
                    return Err(Disconnect::Gone);
                };
                self.refuse(refusal, &text, None).await?;
                return Err(Disconnect::Close("error", close_code));
            }
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) => return Err(Disconnect::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(None),
            Some(Ok(Message::Binary(_))) => {
                self.refuse(Refusal::BadMessage, "messages are text", None)
                    .await?;
                return Ok(None);
            }
        };
        match serde_json::from_str(&text) {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.is_data() => {
                let call = call_named(&text);
                self.refuse(Refusal::BadMessage, &error.to_string(), call)
                    .await?;
                Ok(None)
            }
            Err(error) => {
                self.refuse(Refusal::BadJson, &error.to_string(), None)
                    .await?;
                Ok(None)
            }
        }
    }

    pub(super) async fn refuse(
        &mut self,
        refusal: Refusal,
        message: &str,
        call: Option<String>,
    ) -> Result<(), Disconnect> {
        let code = refusal.code();
        metrics::counter!("trunkline_messages_refused_total", "code" => code).increment(1);
        // Without the message: what a parser says of a hello that it does not take quotes it.
        tracing::debug!(session = %self.id, code, call, "message refused");
        if matches!(
            refusal,
            Refusal::RateLimited
                | Refusal::TooLarge
                | Refusal::InvalidText
                | Refusal::ProtocolError
        ) {
            self.note(code, "", "");
        }
        let error = ServerMessage::Error {
            code: code.to_owned(),
            message: message.to_owned(),
            call,
            methods: Vec::new(),
            retry_after: None,
        };
        self.write(&error).await
    }

    /// `error` for credentials that were not taken, with what the client may do instead.
    pub(super) async fn refuse_credentials(&mut self, error: &Error) -> Result<(), Disconnect> {
        let code = error.refusal().code();
        metrics::counter!("trunkline_messages_refused_total", "code" => code).increment(1);
        let (methods, retry_after) = match error {
            Error::TooManyAttempts { .. } => (Vec::new(), error.retry_after()),
            // The same for everybody: it does not depend on the credentials.
            Error::Unauthorized | Error::NoCredentials | Error::TokenExpired => {
                (self.methods(), None)
            }
            _ => (Vec::new(), None),
        };
        let error = ServerMessage::Error {
            code: code.to_owned(),
            message: error.to_string(),
            call: None,
            methods,
            retry_after,
        };
        self.write(&error).await
    }

    /// How clients may sign in here.
    fn methods(&self) -> Vec<String> {
        let methods = self.door.sign_in.methods();
        methods.into_iter().map(str::to_owned).collect()
    }

    /// Counts credentials that were not taken, and tells the operator. `user` is empty where it
    /// says nothing.
    pub(super) fn note_refusal(&self, refused: &Refused, user: &str) {
        let reason = match refused.error {
            Error::TooManyAttempts { .. } => "too_many_attempts",
            Error::TokenExpired => "token_expired",
            Error::WrongUser => "wrong_user",
            Error::NoCredentials => "no_credentials",
            _ => "unauthorized",
        };
        metrics::counter!("trunkline_sign_in_refused_total", "reason" => reason).increment(1);
        if matches!(refused.error, Error::NoCredentials) {
            // A client that asks how to sign in: no fault, and no line of the operator's ten.
            let remote = self.client.address;
            tracing::debug!(session = %self.id, %remote, reason = "no-credentials", "client refused");
            return;
        }
        // Whoever goes on though there were too many attempts gets one line, not ten a second.
        if refused.is_news {
            self.note(refused.error.refusal().code(), user, "");
        }
    }

    pub(super) async fn write(&mut self, message: &ServerMessage) -> Result<(), Disconnect> {
        let text = serde_json::to_string(message).expect("messages have only string keys");
        self.send(Message::text(text)).await
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), Disconnect> {
        match timeout(WRITE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Disconnect::Gone),
        }
    }

    /// Something that an operator wants to know: with the address, at WARN.
    pub(super) fn note(&self, reason: &str, user: &str, detail: &str) {
        let refusals = &self.door.refusals;
        refusals.note(self.client.address, reason, user, detail);
    }

    /// Says goodbye and closes.
    pub(super) async fn close(mut self, reason: &'static str, code: u16) {
        let methods = if reason == EndReason::TokenExpired.code() {
            self.methods()
        } else {
            Vec::new()
        };
        let goodbye = ServerMessage::Goodbye {
            reason: reason.to_owned(),
            methods,
        };
        let _ = self.write(&goodbye).await;
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        if self.send(Message::Close(Some(frame))).await.is_ok() {
            self.linger().await;
        }
    }

    /// Lets the client receive our close and close in its turn.
    async fn linger(&mut self) {
        let _ = timeout(LINGER, self.socket.until_closed()).await;
    }
}
