//! How others talk to the user agent: a cheap clone that sends orders to its task.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::error::Error;
use super::event::{Command, Event, LegId, Outgoing, RegistrationStatus, TargetStatus};
use super::instant_message::{IncomingMessage, MessageId, MessageOutcome, OutgoingMessage};
use crate::sip::stack::listen::Listen;
use crate::sip::stack::resolver::{DnsClient, DnsQuery, DnsResponse, Records};

/// State of each registration.
pub type Registrations = Vec<RegistrationStatus>;

/// State of each target that is probed, or is one of several of its trunk.
pub type Targets = Vec<TargetStatus>;

/// What the user agent holds at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Dialogs and attempts at one.
    pub legs: usize,
    /// Client and server transactions, finished ones whose timer still runs among them.
    pub transactions: usize,
}

/// An order to the task.
#[derive(Debug)]
pub enum Order {
    /// Place a call.
    Invite {
        /// The call.
        outgoing: Box<Outgoing>,
        /// Where its events go.
        events: mpsc::Sender<Event>,
        /// The leg.
        reply: oneshot::Sender<Result<LegId, Error>>,
    },
    /// Do something with a leg.
    Command {
        /// The leg.
        leg: LegId,
        /// What.
        command: Command,
        /// Whether it could be begun.
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Take the events of an incoming leg.
    Attach {
        /// The leg.
        leg: LegId,
        /// Where its events go.
        events: mpsc::Sender<Event>,
    },
    /// Send a text.
    Message {
        /// The text.
        outgoing: Box<OutgoingMessage>,
        /// Its outcome.
        reply: oneshot::Sender<Result<MessageOutcome, Error>>,
    },
    /// Take the texts that arrive.
    TakeMessages {
        /// Where they go.
        messages: mpsc::Sender<IncomingMessage>,
    },
    /// Answer a text.
    AnswerMessage {
        /// Which.
        id: MessageId,
        /// 200..=699.
        status: u16,
    },
    /// A user is there, or has gone.
    Present {
        /// Who.
        user: String,
        /// Which of both.
        present: bool,
    },
    /// Read the certificates of TLS again.
    ReadCertificates,
    /// Where a trunk is reached.
    AddressOfTrunk {
        /// Its name.
        trunk: String,
        /// The address.
        reply: oneshot::Sender<Option<IpAddr>>,
    },
    /// Count what is held.
    Count {
        /// The counts.
        reply: oneshot::Sender<Held>,
    },
    /// End everything.
    ShutDown {
        /// Told when done.
        reply: oneshot::Sender<()>,
    },
}

/// A cheap handle to a running user agent.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) registrations: watch::Receiver<Registrations>,
    pub(super) targets: watch::Receiver<Targets>,
    pub(super) listeners: Arc<[Listen]>,
    pub(super) dns: Arc<DnsClient>,
}

impl Handle {
    /// Places a call; its events go to `events`. When that receiver is dropped or full the call is
    /// ended.
    pub async fn invite(
        &self,
        outgoing: Outgoing,
        events: mpsc::Sender<Event>,
    ) -> Result<LegId, Error> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Invite {
            outgoing: Box::new(outgoing),
            events,
            reply,
        };
        self.order(order).await?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Carries out a command on a leg. `Ok` says that it was begun; what comes of it are events.
    pub async fn command(&self, leg: LegId, command: Command) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Command {
            leg,
            command,
            reply,
        };
        self.order(order).await?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Takes the events of an incoming leg. Those that came before are delivered first.
    pub async fn attach(&self, leg: LegId, events: mpsc::Sender<Event>) {
        // A user agent that has stopped has no more events; the dropped sender says so.
        let _ = self.order(Order::Attach { leg, events }).await;
    }

    /// Sends a text outside any dialog, after those asked for before; its outcome comes later.
    pub async fn message(
        &self,
        outgoing: OutgoingMessage,
    ) -> Result<oneshot::Receiver<Result<MessageOutcome, Error>>, Error> {
        let (reply, outcome) = oneshot::channel();
        let outgoing = Box::new(outgoing);
        self.order(Order::Message { outgoing, reply }).await?;
        Ok(outcome)
    }

    /// Takes the texts that arrive outside dialogs; answer each. Without a taker, or while
    /// `messages` is full, they are refused with 503.
    pub async fn take_messages(&self, messages: mpsc::Sender<IncomingMessage>) {
        // One that has stopped has no more of them; the dropped sender says so.
        let _ = self.order(Order::TakeMessages { messages }).await;
    }

    /// Answers a text with a final status.
    pub async fn answer_message(&self, id: MessageId, status: u16) {
        // One that has stopped answers nobody.
        let _ = self.order(Order::AnswerMessage { id, status }).await;
    }

    /// Tells whether `user` is there: accounts with [`Registered::Present`](crate::sip::Registered)
    /// are registered meanwhile. An error says that the user agent has stopped.
    pub async fn present(&self, user: String, present: bool) -> Result<(), Error> {
        self.order(Order::Present { user, present }).await
    }

    /// State of each registration: by trunk in configuration order, the trunk's own first.
    pub fn registrations(&self) -> Registrations {
        self.registrations.borrow().clone()
    }

    /// State of each watched target, in configuration order.
    pub fn targets(&self) -> Targets {
        self.targets.borrow().clone()
    }

    /// Reads the certificates of TLS again, for handshakes to come. Files that cannot be used are
    /// logged, and the certificates before them stay.
    pub async fn read_certificates(&self) {
        // One that has stopped has no handshakes to come.
        let _ = self.order(Order::ReadCertificates).await;
    }

    /// The address that the next request to a trunk goes to, as far as it is known: the family of
    /// its audio.
    pub async fn address_of_trunk(&self, trunk: &str) -> Option<IpAddr> {
        let (reply, answer) = oneshot::channel();
        let trunk = trunk.to_owned();
        let order = Order::AddressOfTrunk { trunk, reply };
        self.order(order).await.ok()?;
        answer.await.ok()?
    }

    /// Looks up the addresses of a host, by the name servers and the hosts file that the targets of
    /// trunks are looked up by; takes five seconds at most. None where there are none, or nobody
    /// says.
    pub async fn addresses_of(&self, host: &str) -> Vec<IpAddr> {
        let query = DnsQuery::Addresses(host.trim_end_matches('.').to_ascii_lowercase());
        match self.dns.ask(&query).await {
            DnsResponse::Known {
                records: Records::Addresses(addresses),
                ..
            } => addresses,
            DnsResponse::Known { .. } => Vec::new(),
            DnsResponse::Failed { why } => {
                metrics::counter!("trunkline_sip_look_ups_failed_total").increment(1);
                tracing::warn!(%query, %why, "lookup of a name in SDP failed");
                Vec::new()
            }
        }
    }

    /// What is held now; nothing once the user agent has stopped.
    pub async fn held(&self) -> Held {
        let (reply, answer) = oneshot::channel();
        match self.order(Order::Count { reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Held::default(),
        }
    }

    /// Unregisters, ends every leg, and stops; returns when done, within a few seconds.
    pub async fn shut_down(&self) {
        let (reply, answer) = oneshot::channel();
        if self.order(Order::ShutDown { reply }).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// The listeners in configuration order, with the ports that port 0 became.
    pub fn local_addresses(&self) -> Vec<Listen> {
        self.listeners.to_vec()
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).await.map_err(|_| Error::Stopped)
    }
}
