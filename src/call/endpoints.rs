//! The connections that hear of a call, and those that ring when one of the first is lost.

use std::collections::VecDeque;

use super::EndReason;
use super::client_event::{ClientEvent, EventSender};
use super::endpoint::{Endpoint, IncomingLimits, IncomingPlace};
use super::message::{EndpointId, Notice};

/// Connections of one user that ring at once; further ones ring when one of these is lost.
pub(super) const MOST_RINGING: usize = 16;

/// One connection that hears of the call.
#[derive(Debug)]
struct Listener {
    id: EndpointId,
    sender: EventSender,
    /// Of incoming calls.
    place: Option<IncomingPlace>,
}

/// The connections that hear of the call.
#[derive(Debug)]
pub(super) struct Endpoints {
    /// The call's name towards the clients.
    pub call: String,
    listeners: Vec<Listener>,
    waiting: VecDeque<Endpoint>,
    limits: IncomingLimits,
    /// What the waiting ones are told when their turn comes.
    incoming: Option<ClientEvent>,
}

impl Endpoints {
    /// Of a call that a client makes.
    pub fn outgoing(call: String, id: EndpointId, sender: EventSender) -> Self {
        Endpoints {
            call,
            listeners: vec![Listener {
                id,
                sender,
                place: None,
            }],
            waiting: VecDeque::new(),
            limits: IncomingLimits {
                ringing: 0,
                answered: 0,
            },
            incoming: None,
        }
    }

    /// Of a call to a user with `connections`, in the order in which they are to ring; the call is
    /// named later. None where each has as many calls as it may.
    pub fn incoming(connections: Vec<Endpoint>, limits: IncomingLimits) -> Option<Self> {
        let mut endpoints = Endpoints {
            call: String::new(),
            listeners: Vec::new(),
            waiting: connections.into(),
            limits,
            incoming: None,
        };
        while endpoints.listeners.len() < MOST_RINGING && endpoints.admit_next() {}
        for connection in &endpoints.waiting {
            // One that is behind with its events is alive, or ends by itself.
            let _ = connection.sender.try_send(ClientEvent::Probe);
        }
        (!endpoints.listeners.is_empty()).then_some(endpoints)
    }

    /// The next waiting connection with a place for the call.
    fn admit_next(&mut self) -> bool {
        while let Some(connection) = self.waiting.pop_front() {
            if let Some(place) = connection.state.ring(self.limits) {
                self.listeners.push(Listener {
                    id: connection.id,
                    sender: connection.sender,
                    place: Some(place),
                });
                return true;
            }
        }
        false
    }

    /// Whether no connection hears of the call.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    pub fn has(&self, id: EndpointId) -> bool {
        self.listeners.iter().any(|listener| listener.id == id)
    }

    /// Whether `id` is the only one that hears of the call.
    pub fn has_only(&self, id: EndpointId) -> bool {
        self.listeners.iter().all(|listener| listener.id == id)
    }

    /// Tells all. A connection that does not take what it is told is dropped: it is gone, or too
    /// slow to be of use.
    pub fn tell(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::Begin { .. } => self.incoming = Some(event.clone()),
            // Who hears of the end may be called again at once.
            ClientEvent::Notice {
                notice: Notice::Ended { .. },
                ..
            } => {
                for listener in &mut self.listeners {
                    listener.place = None;
                }
            }
            _ => {}
        }
        self.listeners
            .retain(|listener| listener.sender.try_send(event.clone()).is_ok());
        self.ring_next();
    }

    /// A connection has gone: where the call still rings the next one does.
    pub fn lose(&mut self, id: EndpointId) {
        self.listeners.retain(|listener| listener.id != id);
        self.ring_next();
    }

    fn ring_next(&mut self) {
        let Some(incoming) = self.incoming.clone() else {
            return;
        };
        while self.listeners.len() < MOST_RINGING && self.admit_next() {
            let told = self
                .listeners
                .last()
                .is_some_and(|listener| listener.sender.try_send(incoming.clone()).is_ok());
            if !told {
                self.listeners.pop();
            }
        }
    }

    /// A connection leaves the call to the others; it is told that the call has ended there.
    pub fn dismiss(&mut self, id: EndpointId, reason: EndReason) {
        let ended = self.ended(reason);
        self.listeners.retain_mut(|listener| {
            let stays = listener.id != id;
            if !stays {
                listener.place = None;
                // It asked for it; what it does not read is its own loss.
                let _ = listener.sender.try_send(ended.clone());
            }
            stays
        });
    }

    /// One connection has taken the call: the others stop ringing.
    pub fn keep(&mut self, id: EndpointId) {
        self.waiting.clear();
        self.incoming = None;
        let elsewhere = self.ended(EndReason::AnsweredElsewhere);
        self.listeners.retain_mut(|listener| {
            let keeps = listener.id == id;
            match (&mut listener.place, keeps) {
                (Some(place), true) => place.answer(),
                (None, true) => {}
                // A full queue is that connection's loss: it has nothing of this call to lose.
                (place, false) => {
                    *place = None;
                    drop(listener.sender.try_send(elsewhere.clone()));
                }
            }
            keeps
        });
    }

    fn ended(&self, reason: EndReason) -> ClientEvent {
        ClientEvent::Notice {
            call: self.call.clone(),
            notice: Notice::Ended {
                reason,
                status: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    const LIMITS: IncomingLimits = IncomingLimits {
        ringing: 1,
        answered: 1,
    };

    type Events = mpsc::Receiver<ClientEvent>;

    fn connections(count: u64) -> (Vec<Endpoint>, Vec<Events>) {
        let one = |id| {
            let (sender, events) = mpsc::channel(8);
            (Endpoint::new(EndpointId(id), sender), events)
        };
        (1..=count).map(one).unzip()
    }

    /// Stands for the first event, which only a call's task can make.
    fn announce(endpoints: &mut Endpoints) {
        endpoints.call = "in-1".to_owned();
        let ringing = ClientEvent::Notice {
            call: endpoints.call.clone(),
            notice: Notice::Digit {
                digit: '1',
                duration: std::time::Duration::ZERO,
            },
        };
        endpoints.incoming = Some(ringing.clone());
        endpoints.tell(&ringing);
    }

    #[test]
    fn seventeenth_connection_is_probed_and_rings_when_one_is_lost() {
        let (connections, mut events) = connections(18);
        let mut endpoints = Endpoints::incoming(connections, LIMITS).expect("they ring");
        announce(&mut endpoints);
        assert!(matches!(
            events[15].try_recv(),
            Ok(ClientEvent::Notice { .. })
        ));
        assert!(matches!(events[16].try_recv(), Ok(ClientEvent::Probe)));
        assert!(events[16].try_recv().is_err(), "it does not ring yet");
        endpoints.lose(EndpointId(3));
        assert!(matches!(
            events[16].try_recv(),
            Ok(ClientEvent::Notice { .. })
        ));
        assert!(endpoints.has(EndpointId(17)) && !endpoints.has(EndpointId(18)));
    }

    #[test]
    fn waiting_connection_does_not_ring_after_the_answer() {
        let (connections, mut events) = connections(17);
        let mut endpoints = Endpoints::incoming(connections, LIMITS).expect("they ring");
        announce(&mut endpoints);
        endpoints.keep(EndpointId(2));
        endpoints.lose(EndpointId(1));
        assert!(matches!(events[16].try_recv(), Ok(ClientEvent::Probe)));
        assert!(events[16].try_recv().is_err());
        assert!(endpoints.has_only(EndpointId(2)));
    }

    #[test]
    fn connection_with_its_calls_is_passed_over() {
        let (connections, _events) = connections(2);
        let busy = connections[0].state.ring(LIMITS).expect("it rings");
        let endpoints = Endpoints::incoming(connections.clone(), LIMITS).expect("one rings");
        assert!(!endpoints.has(EndpointId(1)) && endpoints.has(EndpointId(2)));
        assert!(Endpoints::incoming(connections.clone(), LIMITS).is_none());
        drop((busy, endpoints));
        let endpoints = Endpoints::incoming(connections, LIMITS).expect("both are free");
        assert!(endpoints.has(EndpointId(1)) && endpoints.has(EndpointId(2)));
    }

    #[test]
    fn answer_and_refusal_give_places_back() {
        let (connections, _events) = connections(3);
        let mut endpoints = Endpoints::incoming(connections.clone(), LIMITS).expect("they ring");
        announce(&mut endpoints);
        endpoints.dismiss(EndpointId(1), EndReason::Busy);
        endpoints.keep(EndpointId(2));
        let free = |at: usize| connections[at].state.ring(LIMITS).is_some();
        assert!(free(0) && !free(1) && free(2));
        let ended = endpoints.ended(EndReason::HangupRemote);
        endpoints.tell(&ended);
        assert!(free(1), "before the call's task has ended");
    }
}
