//! One connection, message by message.

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::counted_stream::CountedStream;
use super::fault::Fault;
use crate::token_bucket::Rate;

/// The longest message, bytes. Offers of browsers are 3 to 10 KiB.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// What a connection keeps to read into, bytes. Longer messages are read in pieces.
const READ_BUFFER: usize = 4 * 1024;

/// Frames that a client may send in a burst, and per second after it: control frames, binary ones
/// and each fragment of a message too, since each costs work.
const FRAMES: Rate = Rate::per_second(100);

/// One connection.
pub struct WebSocket {
    stream: WebSocketStream<CountedStream<TokioIo<Upgraded>>>,
    /// Whether nothing more can be read, though the client did not end it.
    is_broken: bool,
}

impl WebSocket {
    pub(super) async fn new(upgraded: Upgraded) -> Self {
        // Tungstenite keeps 128 KiB for each connection unless told otherwise.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(LONGEST_MESSAGE))
            .max_frame_size(Some(LONGEST_MESSAGE));
        let stream = CountedStream::new(TokioIo::new(upgraded), FRAMES);
        WebSocket {
            stream: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            is_broken: false,
        }
    }

    /// The next message; none after the end. Cancel safe. After a fault nothing more can be read,
    /// but messages can be sent.
    pub(crate) async fn recv(&mut self) -> Option<Result<Message, Fault>> {
        let message = self.stream.next().await?;
        Some(message.map_err(|error| {
            let is_exceeded = self.stream.get_ref().is_exceeded();
            let fault = Fault::of(&error, is_exceeded);
            self.is_broken = !matches!(fault, Fault::Gone(_));
            fault
        }))
    }

    /// Sends one message. An error says that the connection is gone.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Fault> {
        let sent = self.stream.send(message).await;
        sent.map_err(|error| Fault::Gone(error.to_string()))
    }

    /// Reads until the client has closed the connection, and forgets what it sends.
    pub(crate) async fn until_closed(&mut self) {
        while let Some(message) = self.recv().await {
            if message.is_err() {
                break;
            }
        }
        if self.is_broken {
            self.stream.get_mut().drain().await;
        }
    }
}
