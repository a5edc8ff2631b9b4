//! One page's connection to `/rtc`: its hello, its calls, its goodbye.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: reads the clock and names guests"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::allowance::Allowance;
use super::door::{Admitted, Door};
use super::json::{FromPage, Rejection, ToPage, VERSION};
use super::reading::{call_named, hang_up_reason, is_name};
use super::sign_in::{Credentials, Identity};
use super::telling::{message_to_page, to_page};
use crate::call::{
    self, CallHandle, Command, Delivery, EndReason, LONGEST_TEXT, MessageNotice, Notice, Placing,
    SocketId, SocketSender, Texting, TransferTarget,
};
use crate::redacted::Redacted;

/// Deliveries that may wait for a page that reads slowly; with more it loses its calls.
const QUEUE: usize = 256;

/// How long one message may take to go out.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that we close stays open for what the page still sends: to close with
/// input unread resets it, and our last words are lost on the way.
const LINGER: Duration = Duration::from_secs(1);

/// Messages that a page may send in a burst, and per second after it.
const MESSAGES_PER_SECOND: u32 = 100;

/// Texts likewise.
const TEXTS_PER_SECOND: u32 = 5;

/// Milliseconds of a digit that does not say.
const DIGIT_DURATION: u32 = 100;

/// Digits of one message.
const MOST_DIGITS: usize = 64;

/// Why a connection ends.
enum Over {
    /// The page closed it, or it broke.
    Gone,
    /// We close it: reason for `goodbye` and the WebSocket close code (RFC 6455 section 7.4).
    Close(&'static str, u16),
}

struct Session {
    socket: WebSocket,
    door: Arc<Door>,
    remote: SocketAddr,
    id: SocketId,
    identity: Identity,
    calls: HashMap<String, CallHandle>,
    sender: SocketSender,
    allowance: Allowance,
    texts: Allowance,
}

/// Runs a connection to its end.
pub(super) async fn run(
    socket: WebSocket,
    door: Arc<Door>,
    admitted: Admitted,
    remote: SocketAddr,
) {
    let id = SocketId(admitted.number);
    let (sender, deliveries) = mpsc::channel(QUEUE);
    let mut session = Session {
        socket,
        door: Arc::clone(&door),
        remote,
        id,
        identity: Identity::default(),
        calls: HashMap::new(),
        sender: sender.clone(),
        allowance: Allowance::new(MESSAGES_PER_SECOND, Instant::now()),
        texts: Allowance::new(TEXTS_PER_SECOND, Instant::now()),
    };
    let hello = timeout(door.limits.hello, session.sign_in()).await;
    let over = match hello {
        Err(_) => {
            metrics::counter!("trunkline_sockets_refused_total", "reason" => "silent").increment(1);
            session.note("silent", "");
            Over::Close("idle", 1008)
        }
        Ok(Err(over)) => over,
        Ok(Ok(())) => {
            let user = session.identity.user.clone();
            tracing::info!(session = %id, %remote, %user, "page signed in");
            door.directory.sign_in(&user, id, sender);
            let over = match session.welcome().await {
                Ok(()) => session.serve(deliveries).await,
                Err(over) => over,
            };
            door.directory.sign_out(&user, id);
            tracing::info!(session = %id, %remote, %user, calls = session.calls.len(), "page left");
            over
        }
    };
    // Tells every call that this page has gone.
    session.leave(over).await;
}

impl Session {
    async fn sign_in(&mut self) -> Result<(), Over> {
        loop {
            let Some(message) = self.read().await? else {
                continue;
            };
            let FromPage::Hello {
                version,
                user,
                password,
                token,
            } = message
            else {
                self.refuse("not-signed-in", "the first message is hello", None)
                    .await?;
                continue;
            };
            if version != VERSION {
                self.refuse("unsupported-version", "this gateway speaks version 1", None)
                    .await?;
                return Err(Over::Close("error", 1002));
            }
            let credentials = Credentials {
                user,
                password: password.map(Redacted::new),
                token: token.map(Redacted::new),
            };
            let now = std::time::SystemTime::now();
            let found = self
                .door
                .sign_in
                .identify(&credentials, rand::random(), now);
            match found {
                Ok(signed_in) => {
                    self.identity = signed_in.identity;
                    return Ok(());
                }
                Err(error) => {
                    metrics::counter!("trunkline_sign_in_refused_total").increment(1);
                    self.refuse(error.code(), &error.to_string(), None).await?;
                    return Err(Over::Close("error", 1008));
                }
            }
        }
    }

    /// Said once the page can be called: who hears it and has a telephone ring at once must not
    /// find that nobody is there.
    async fn welcome(&mut self) -> Result<(), Over> {
        let welcome = ToPage::Welcome {
            version: VERSION,
            user: self.identity.user.clone(),
            session: self.id.to_string(),
            ice_servers: self.door.ice_servers.clone(),
            numbers: self.door.numbers.clone(),
        };
        self.write(&welcome).await
    }

    async fn serve(&mut self, mut deliveries: mpsc::Receiver<Delivery>) -> Over {
        let idle = self.door.limits.idle;
        let mut heard = Instant::now();
        let mut pinged = false;
        loop {
            let quiet_until = heard + if pinged { idle } else { idle / 2 };
            let result = tokio::select! {
                message = self.socket.recv() => {
                    heard = Instant::now();
                    pinged = false;
                    match self.understand(message).await {
                        Ok(Some(message)) => self.take(message).await,
                        Ok(None) => Ok(()),
                        Err(over) => Err(over),
                    }
                }
                Some(delivery) = deliveries.recv() => self.deliver(delivery).await,
                () = tokio::time::sleep_until(quiet_until) => {
                    if pinged {
                        Err(Over::Close("idle", 1001))
                    } else {
                        pinged = true;
                        self.send(Message::Ping(Default::default())).await
                    }
                }
            };
            if let Err(over) = result {
                return over;
            }
        }
    }

    async fn take(&mut self, message: FromPage) -> Result<(), Over> {
        match message {
            FromPage::Hello { .. } => {
                self.refuse("bad-message", "hello was said already", None)
                    .await
            }
            FromPage::Ping {} => self.write(&ToPage::Pong {}).await,
            FromPage::Call {
                call,
                to,
                sdp,
                name,
                anonymous,
                headers,
            } => {
                let placing = Placing {
                    user: self.identity.user.clone(),
                    name: name.or_else(|| self.identity.display_name.clone()),
                    socket: self.id,
                    sender: self.sender.clone(),
                    remote: self.remote,
                    call,
                    to,
                    sdp,
                    anonymous,
                    headers: headers.into_iter().collect(),
                };
                self.place(placing).await
            }
            FromPage::Candidate { call, candidate } => {
                let candidate = candidate
                    .map(|candidate| candidate.candidate)
                    .filter(|candidate| !candidate.is_empty());
                self.ask(call, Command::Trickle { candidate }).await
            }
            FromPage::Accept { call, sdp } => {
                let socket = self.id;
                self.ask(call, Command::Accept { socket, sdp }).await
            }
            FromPage::Reject { call, reason } => {
                let reason = match reason {
                    Some(Rejection::Busy) => EndReason::Busy,
                    Some(Rejection::Declined) | None => EndReason::Declined,
                };
                let socket = self.id;
                self.ask(call, Command::Reject { socket, reason }).await
            }
            FromPage::Dtmf {
                call,
                digits,
                duration,
            } => {
                let duration = duration.unwrap_or(DIGIT_DURATION);
                let known = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d');
                let few = (1..=MOST_DIGITS).contains(&digits.chars().count());
                if !few || !digits.chars().all(known) || !(40..=6_000).contains(&duration) {
                    let text = "dtmf takes 1 to 64 digits of 0-9*#A-D, and 40 to 6000 milliseconds";
                    return self.refuse("bad-message", text, Some(call)).await;
                }
                let duration = Duration::from_millis(duration.into());
                let digits = digits.to_ascii_uppercase();
                self.ask(call, Command::SendDigits { digits, duration })
                    .await
            }
            FromPage::Hold { call, on } => self.ask(call, Command::Hold { on }).await,
            FromPage::Transfer { call, to, replaces } => self.transfer(call, to, replaces).await,
            FromPage::Message { id, to, call, text } => self.text(id, to, call, text).await,
            FromPage::Hangup { call, reason } => {
                let reason = reason.as_ref().and_then(hang_up_reason);
                self.ask(call, Command::HangUp { reason }).await
            }
        }
    }

    async fn place(&mut self, placing: Placing) -> Result<(), Over> {
        let call = placing.call.clone();
        let dialled = placing.to.clone();
        if !is_name(&call) {
            let text = "call is 1 to 64 characters of A-Z, a-z, 0-9, - and _";
            return self.refuse("bad-message", text, None).await;
        }
        if self.calls.contains_key(&call) {
            return self
                .refuse("duplicate-call", "there is a call of that name", Some(call))
                .await;
        }
        if self.calls.len() >= self.door.limits.calls_per_socket {
            return self
                .refuse("too-many-calls", "this page has too many calls", Some(call))
                .await;
        }
        match self.door.exchange.place(placing).await {
            Ok(handle) => {
                self.calls.insert(call, handle);
                Ok(())
            }
            Err(error) => {
                let reason = match error {
                    call::Error::Ends(reason) => reason,
                    error => {
                        return self
                            .refuse(error.code(), &error.to_string(), Some(call))
                            .await;
                    }
                };
                let code = reason.code();
                self.note(code, &dialled);
                metrics::counter!("trunkline_calls_total", "direction" => "outgoing", "reason" => code)
                    .increment(1);
                let ended = Notice::Ended {
                    reason,
                    status: None,
                };
                self.write(&to_page(call, ended)).await
            }
        }
    }

    async fn transfer(
        &mut self,
        call: String,
        to: Option<String>,
        replaces: Option<String>,
    ) -> Result<(), Over> {
        let target = match (to, replaces) {
            (Some(to), None) => {
                let exchange = &self.door.exchange;
                match exchange.transfer_target(&self.identity.user, &to) {
                    Ok(target) => target,
                    Err(reason) => {
                        let text = "no route to this number for this user";
                        return self.refuse(reason.code(), text, Some(call)).await;
                    }
                }
            }
            (None, Some(other)) if other != call => {
                match self.calls.get(&other).map(CallHandle::dialog) {
                    Some(Some(dialog)) => TransferTarget::Dialog(dialog),
                    Some(None) => {
                        let text = "the other call is not answered";
                        return self.refuse("bad-state", text, Some(call)).await;
                    }
                    None => {
                        let text = "there is no such other call";
                        return self.refuse("unknown-call", text, Some(call)).await;
                    }
                }
            }
            _ => {
                let text = "transfer takes either to or replaces, another call";
                return self.refuse("bad-message", text, Some(call)).await;
            }
        };
        self.ask(call, Command::Transfer { to: target }).await
    }

    async fn text(
        &mut self,
        id: Option<String>,
        to: Option<String>,
        call: Option<String>,
        text: String,
    ) -> Result<(), Over> {
        if text.is_empty() || id.as_deref().is_some_and(|id| !is_name(id)) {
            let text = "message takes a text, and an id of 1 to 64 of A-Z, a-z, 0-9, - and _";
            return self.refuse("bad-message", text, call).await;
        }
        let (code, why) = if text.len() > LONGEST_TEXT {
            ("text-too-long", "a text has at most 4096 bytes")
        } else if !self.texts.take(Instant::now()) {
            ("too-many-messages", "more than 5 messages a second")
        } else {
            match (to, call) {
                (Some(to), None) => {
                    let texting = Texting {
                        user: self.identity.user.clone(),
                        name: self.identity.display_name.clone(),
                        sender: self.sender.clone(),
                        id,
                        to,
                        text,
                    };
                    self.door.exchange.send_message(texting).await;
                    return Ok(());
                }
                (None, Some(call)) => return self.ask(call, Command::SendText { id, text }).await,
                (_, call) => {
                    let text = "message takes either to or call";
                    return self.refuse("bad-message", text, call).await;
                }
            }
        };
        metrics::counter!("trunkline_messages_refused_total", "code" => code).increment(1);
        let failed = MessageNotice::Failed {
            id,
            code,
            status: None,
            text: why,
        };
        self.write(&message_to_page(call, failed)).await
    }

    async fn ask(&mut self, call: String, command: Command) -> Result<(), Over> {
        let Some(handle) = self.calls.get(&call) else {
            return self
                .refuse("unknown-call", "there is no such call", Some(call))
                .await;
        };
        // Where it fails the end of the call is on the way to the page.
        let _ = handle.ask(command).await;
        Ok(())
    }

    async fn deliver(&mut self, delivery: Delivery) -> Result<(), Over> {
        match delivery {
            Delivery::Begin {
                call,
                handle,
                notice,
            } => {
                self.calls.insert(call.clone(), handle);
                self.write(&to_page(call.clone(), notice)).await?;
                self.write(&ToPage::Candidate {
                    call,
                    candidate: None,
                })
                .await
            }
            // The end of a call that never got so far as to ring here is no news.
            Delivery::Notice { call, .. } if !self.calls.contains_key(&call) => Ok(()),
            Delivery::Notice { call, notice } => {
                let ended = matches!(notice, Notice::Ended { .. });
                let answer = matches!(notice, Notice::Answer { .. });
                if ended {
                    self.calls.remove(&call);
                }
                self.write(&to_page(call.clone(), notice)).await?;
                if answer {
                    return self
                        .write(&ToPage::Candidate {
                            call,
                            candidate: None,
                        })
                        .await;
                }
                Ok(())
            }
            Delivery::Message(notice) => self.write(&message_to_page(None, notice)).await,
            Delivery::Draining { remaining } => {
                let seconds = remaining.as_secs();
                self.write(&ToPage::Draining { seconds }).await
            }
            Delivery::ShutDown => Err(Over::Close("shutdown", 1001)),
        }
    }

    /// The next message that says something; none for pings and what was refused.
    async fn read(&mut self) -> Result<Option<FromPage>, Over> {
        let message = self.socket.recv().await;
        self.understand(message).await
    }

    async fn understand(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<FromPage>, Over> {
        // Pings and binary frames cost an answer each: every frame counts.
        if matches!(message, Some(Ok(_))) && !self.allowance.take(Instant::now()) {
            self.refuse("rate-limited", "more than 100 messages a second", None)
                .await?;
            return Err(Over::Close("error", 1008));
        }
        let text = match message {
            None => return Err(Over::Gone),
            Some(Err(error)) => {
                let text = error.to_string();
                // What came is over the limit, or not WebSocket, or the connection was reset;
                // either way the stream is lost.
                tracing::debug!(session = %self.id, error = %text, "connection broke");
                if text.to_ascii_lowercase().contains("too long") || text.contains("too large") {
                    self.refuse("too-large", "a message has at most 64 KiB", None)
                        .await?;
                    return Err(Over::Close("error", 1009));
                }
                return Err(Over::Gone);
            }
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) => return Err(Over::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(None),
            Some(Ok(Message::Binary(_))) => {
                self.refuse("bad-message", "messages are text", None)
                    .await?;
                return Ok(None);
            }
        };
        match serde_json::from_str(&text) {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.is_data() => {
                let call = call_named(&text);
                self.refuse("bad-message", &error.to_string(), call).await?;
                Ok(None)
            }
            Err(error) => {
                self.refuse("bad-json", &error.to_string(), None).await?;
                Ok(None)
            }
        }
    }

    async fn refuse(
        &mut self,
        code: &'static str,
        message: &str,
        call: Option<String>,
    ) -> Result<(), Over> {
        metrics::counter!("trunkline_messages_refused_total", "code" => code).increment(1);
        // Without the message: what a parser says of a hello that it does not take quotes it.
        tracing::debug!(session = %self.id, code, call, "message refused");
        if matches!(
            code,
            "unauthorized" | "rate-limited" | "too-many-calls" | "too-large"
        ) {
            self.note(code, "");
        }
        let error = ToPage::Error {
            code: code.to_owned(),
            message: message.to_owned(),
            call,
        };
        self.write(&error).await
    }

    async fn write(&mut self, message: &ToPage) -> Result<(), Over> {
        let text = serde_json::to_string(message).expect("messages have only string keys");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        match timeout(WRITE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over::Gone),
        }
    }

    /// Something that an operator wants to know: with the address, at WARN.
    fn note(&self, reason: &str, detail: &str) {
        let user = self.identity.user.as_str();
        let refusals = &self.door.refusals;
        refusals.note(self.remote, reason, user, detail);
    }

    /// Lets the page hear our close and close in its turn.
    async fn linger(&mut self) {
        let deadline = Instant::now() + LINGER;
        let until_it_closes = async {
            loop {
                match self.socket.recv().await {
                    None => return true,
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return false,
                }
            }
        };
        let closed = tokio::time::timeout_at(deadline, until_it_closes).await;
        // After a message over the limit nothing more can be read: then time alone helps.
        if closed == Ok(false) {
            tokio::time::sleep_until(deadline).await;
        }
    }

    async fn leave(mut self, over: Over) {
        for handle in self.calls.values() {
            let _ = handle.end(Command::LosePage { socket: self.id });
        }
        if let Over::Close(reason, code) = over {
            let _ = self
                .write(&ToPage::Goodbye {
                    reason: reason.to_owned(),
                })
                .await;
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            if self.send(Message::Close(Some(frame))).await.is_ok() {
                self.linger().await;
            }
        }
    }
}
