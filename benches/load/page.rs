//! A page's signalling: JSON over a WebSocket of its own for each call.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long the gateway may take to say the next thing of a call's beginning or end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A page with a call that was answered.
pub struct Page {
    stop: oneshot::Sender<()>,
    task: JoinHandle<bool>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Page {
    /// Signs in, calls `load-INDEX` and waits until it is answered; gives the SDP answer.
    pub async fn call(gateway: SocketAddr, index: usize, offer: &str) -> (Page, String) {
        let (mut socket, _) = connect_async(format!("ws://{gateway}/rtc"))
            .await
            .expect("the gateway takes a WebSocket");
        say(&mut socket, &json!({"type": "hello", "version": 1})).await;
        wait_for(&mut socket, "welcome").await;
        let to = format!("load-{index}");
        let call = json!({"type": "call", "call": "load", "to": to, "sdp": offer});
        say(&mut socket, &call).await;
        let answer = wait_for(&mut socket, "answer").await;
        wait_for(&mut socket, "answered").await;
        let sdp = answer["sdp"]
            .as_str()
            .expect("an answer has SDP")
            .to_owned();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(stay(socket, stopped));
        (Page { stop, task }, sdp)
    }

    /// Hangs up; whether the gateway confirmed that the call had lasted until then.
    pub async fn hang_up(self) -> bool {
        let _ = self.stop.send(());
        self.task.await.unwrap_or(false)
    }
}

/// Reads what comes until it is told to hang up.
async fn stay(mut socket: Socket, mut stopped: oneshot::Receiver<()>) -> bool {
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if text.contains("\"ended\"") {
                        eprintln!("a call ended early: {text}");
                        return false;
                    }
                }
                Some(Ok(_)) => {}
                _ => return false,
            },
        }
    }
    say(&mut socket, &json!({"type": "hangup", "call": "load"})).await;
    wait_for(&mut socket, "ended").await["reason"] == "hangup-local"
}

async fn say(socket: &mut Socket, message: &Value) {
    socket
        .send(Message::text(message.to_string()))
        .await
        .expect("the gateway reads");
}

async fn wait_for(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = timeout(PATIENCE, socket.next())
            .await
            .unwrap_or_else(|_| panic!("no {kind} from the gateway"))
            .expect("the WebSocket stays open")
            .expect("a WebSocket frame");
        let Message::Text(text) = message else {
            continue;
        };
        let value: Value = serde_json::from_str(&text).expect("JSON");
        match value["type"].as_str() {
            Some(found) if found == kind => return value,
            Some("error" | "goodbye") => panic!("waiting for {kind}: {text}"),
            Some("ended") => panic!("waiting for {kind}: {text}"),
            _ => {}
        }
    }
}
