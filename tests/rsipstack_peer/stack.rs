//! The other end: a telephone and registrar that stands on `rsipstack`.

use std::sync::Arc;
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::dialog::authenticate::{Credential, verify_digest};
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver, DialogStateSender};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::platform::CancellationToken;
use rsipstack::sip::prelude::*;
use rsipstack::sip::typed::Authorization;
use rsipstack::sip::{Header, Method, StatusCode, Uri};
use rsipstack::transaction::Endpoint;
use rsipstack::transaction::transaction::Transaction;
use rsipstack::transport::TransportLayer;
use rsipstack::transport::tcp_listener::TcpListenerConnection;
use rsipstack::transport::udp::UdpConnection;
use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline::sip::Transport;

/// What both ends know of the user `bob`.
pub const PASSWORD: &str = "zanzibar";
pub const ANSWER: &str = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
     m=audio 4002 RTP/AVP 0\r\n";

const PATIENCE: Duration = Duration::from_secs(5);

/// How the stack asks who calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    None,
    /// 401 with this algorithm.
    Www(&'static str),
    /// 407 with this algorithm.
    Proxy(&'static str),
}

/// A request that ended up at the registrar: its Contact and Expires.
#[derive(Debug)]
pub struct Binding {
    pub contact: String,
    pub expires: Option<u32>,
}

pub struct Stack {
    pub port: u16,
    endpoint: Endpoint,
    dialogs: Arc<DialogLayer>,
    contact: Uri,
    /// Calls that came in, each before its answer.
    pub calls: mpsc::UnboundedReceiver<InviteDialog>,
    pub bindings: mpsc::UnboundedReceiver<Binding>,
    states: DialogStateReceiver,
    state_sender: DialogStateSender,
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.endpoint.shutdown();
    }
}

/// A port that nobody holds at this moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("loopback binds")
        .port()
}

impl Stack {
    /// Listens on loopback and takes every call and registration that passes `challenge`.
    pub async fn start(transport: Transport, challenge: Challenge) -> Stack {
        let cancel = CancellationToken::new();
        let transports = TransportLayer::new(cancel.child_token());
        let port = match transport {
            Transport::Udp => {
                let any = "127.0.0.1:0".parse().expect("an address");
                let socket =
                    UdpConnection::create_connection(any, None, Some(cancel.child_token()))
                        .await
                        .expect("loopback binds");
                let port = socket.get_addr().get_socketaddr().expect("bound").port();
                transports.add_transport(socket.into());
                port
            }
            _ => {
                let port = free_port();
                let address = ([127, 0, 0, 1], port).into();
                let listener = TcpListenerConnection::new(address, None)
                    .await
                    .expect("an address");
                transports.add_transport(listener.into());
                port
            }
        };
        let endpoint = EndpointBuilder::new()
            .with_cancel_token(cancel)
            .with_transport_layer(transports)
            .build();
        let dialogs = Arc::new(DialogLayer::new(endpoint.inner.clone()));
        let contact = uri("bob", port, transport);
        let (state_sender, states) = dialogs.new_dialog_state_channel();
        let (call_sender, calls) = mpsc::unbounded_channel();
        let (binding_sender, bindings) = mpsc::unbounded_channel();
        let mut incoming = endpoint.incoming_transactions().expect("taken once");
        let inner = endpoint.inner.clone();
        tokio::spawn(async move { inner.serve().await });
        let server = Server {
            challenge,
            dialogs: dialogs.clone(),
            states: state_sender.clone(),
            contact: contact.clone(),
            calls: call_sender,
            bindings: binding_sender,
        };
        tokio::spawn(async move {
            while let Some(transaction) = incoming.recv().await {
                server.take(transaction).await;
            }
        });
        if transport == Transport::Tcp {
            listening(port).await;
        }
        Stack {
            port,
            endpoint,
            dialogs,
            contact,
            calls,
            bindings,
            states,
            state_sender,
        }
    }

    /// The next call that comes in.
    pub async fn called(&mut self) -> InviteDialog {
        next(&mut self.calls).await
    }

    /// The next registration that was let in.
    pub async fn registered(&mut self) -> Binding {
        next(&mut self.bindings).await
    }

    /// Calls `user` at `port`; its provisional and final answers are among the states.
    pub fn call(&self, user: &str, port: u16, transport: Transport, offer: &str) -> InviteDialog {
        let option = InviteOption {
            caller: self.contact.clone(),
            callee: uri(user, port, transport),
            contact: self.contact.clone(),
            content_type: Some("application/sdp".to_owned()),
            offer: Some(offer.as_bytes().to_vec()),
            credential: Some(Credential {
                username: "bob".to_owned(),
                password: PASSWORD.to_owned(),
                ..Credential::default()
            }),
            ..InviteOption::default()
        };
        let (dialog, _task) = self
            .dialogs
            .do_invite_async(option, self.state_sender.clone())
            .expect("placed");
        dialog
    }

    /// The next state of any dialog that `wanted` recognises; others are passed over.
    pub async fn state<T>(&mut self, wanted: impl Fn(DialogState) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(next(&mut self.states).await) {
                return found;
            }
        }
    }

    /// Answers the next re-INVITE and returns the body it came with.
    pub async fn answer_reinvite(&mut self, body: &str) -> Vec<u8> {
        let (request, handle) = self
            .state(|state| match state {
                DialogState::Updated(_, request, handle) => Some((request, handle)),
                _ => None,
            })
            .await;
        let headers = vec![
            Header::ContentType("application/sdp".into()),
            Header::Contact(format!("<{}>", self.contact).into()),
        ];
        handle
            .respond(
                StatusCode::OK,
                Some(headers),
                Some(body.as_bytes().to_vec()),
            )
            .await
            .expect("the request waits");
        request.body
    }

    /// The status of each answer to a call of ours, until the final one.
    pub async fn ended_with(&mut self) -> DialogState {
        self.state(|state| matches!(state, DialogState::Terminated(..)).then_some(state))
            .await
    }
}

/// Headers of an answer with SDP.
pub fn sdp_headers() -> Option<Vec<Header>> {
    Some(vec![Header::ContentType("application/sdp".into())])
}

async fn next<T>(queue: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(PATIENCE, queue.recv())
        .await
        .expect("in time")
        .expect("the stack runs")
}

/// The stack opens its listener when its task runs.
async fn listening(port: u16) {
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the stack does not listen on {port}");
}

fn uri(user: &str, port: u16, transport: Transport) -> Uri {
    let transport = transport.uri_value();
    Uri::try_from(format!("sip:{user}@127.0.0.1:{port};transport={transport}").as_str())
        .expect("a URI")
}

/// Takes what arrives.
struct Server {
    challenge: Challenge,
    dialogs: Arc<DialogLayer>,
    states: DialogStateSender,
    contact: Uri,
    calls: mpsc::UnboundedSender<InviteDialog>,
    bindings: mpsc::UnboundedSender<Binding>,
}

impl Server {
    async fn take(&self, mut transaction: Transaction) {
        let tag = transaction.original.to_header().and_then(|to| to.tag());
        if tag.is_ok_and(|tag| tag.is_some()) {
            match self.dialogs.match_dialog(&transaction) {
                Some(mut dialog) => {
                    tokio::spawn(async move { dialog.handle(&mut transaction).await });
                }
                None => {
                    let _ = transaction
                        .reply(StatusCode::CallTransactionDoesNotExist)
                        .await;
                }
            }
            return;
        }
        match transaction.original.method {
            Method::Invite => {
                if self.lets_in(&mut transaction).await {
                    self.invited(transaction);
                }
            }
            Method::Register => {
                if self.lets_in(&mut transaction).await {
                    self.register(transaction).await;
                }
            }
            Method::Ack => {}
            _ => {
                let _ = transaction.reply(StatusCode::MethodNotAllowed).await;
            }
        }
    }

    fn invited(&self, mut transaction: Transaction) {
        let mut dialog = self
            .dialogs
            .get_or_create_server_invite(
                &transaction,
                self.states.clone(),
                None,
                Some(self.contact.clone()),
            )
            .expect("an INVITE");
        let _ = self.calls.send(dialog.clone());
        tokio::spawn(async move { dialog.handle(&mut transaction).await });
    }

    async fn register(&self, mut transaction: Transaction) {
        let contact = transaction
            .original
            .contact_header()
            .map(|header| header.value().to_owned())
            .unwrap_or_default();
        let expires = transaction
            .original
            .expires_header()
            .and_then(|header| header.value().parse().ok());
        // Ours comes with an `expires` of its own: what was asked for is granted.
        let headers = vec![Header::Contact(contact.clone().into())];
        let _ = transaction.reply_with(StatusCode::OK, headers, None).await;
        let _ = self.bindings.send(Binding { contact, expires });
    }

    /// True when the request carries the right credentials; else it has been answered.
    async fn lets_in(&self, transaction: &mut Transaction) -> bool {
        let (status, algorithm) = match self.challenge {
            Challenge::None => return true,
            Challenge::Www(algorithm) => (StatusCode::Unauthorized, algorithm),
            Challenge::Proxy(algorithm) => (StatusCode::ProxyAuthenticationRequired, algorithm),
        };
        let request = &transaction.original;
        // One shape in two headers. The stack computes SHA-256 but knows it by another name.
        let credentials = request.headers.iter().find_map(|header| match header {
            Header::Authorization(value) => Some(value.value().replace("SHA-256", "SHA256")),
            Header::ProxyAuthorization(value) => Some(value.value().replace("SHA-256", "SHA256")),
            _ => None,
        });
        if credentials.is_some_and(|raw| {
            Authorization::parse(&raw)
                .is_ok_and(|read| verify_digest(&read, PASSWORD, &request.method, &raw))
        }) {
            return true;
        }
        let asked = format!(
            "Digest realm=\"rsipstack\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             algorithm={algorithm}, qop=\"auth\""
        );
        let header = match self.challenge {
            Challenge::Proxy(_) => Header::ProxyAuthenticate(asked.into()),
            _ => Header::WwwAuthenticate(asked.into()),
        };
        let _ = transaction.reply_with(status, vec![header], None).await;
        false
    }
}
