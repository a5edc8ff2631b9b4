//! How the endpoints of one call are reached, and those that ring when one of the first is lost. Which
//! of them has the call is decided by the call's machine.

use std::collections::VecDeque;

use super::client_event::{ClientEvent, EventSender};
use super::endpoint::{Endpoint, IncomingLimits, IncomingPlace};
use super::ids::EndpointId;
use super::message::Notice;

/// Endpoints of one user that ring at once; further ones ring when one of these is lost.
pub(crate) const MOST_RINGING: usize = 16;

/// Endpoints that may wait for their turn besides those that were there when the call came.
const MOST_WAITING: usize = 64;

/// One endpoint of the call.
#[derive(Debug)]
struct Reached {
    id: EndpointId,
    sender: EventSender,
    /// Of incoming calls.
    place: Option<IncomingPlace>,
}

/// The endpoints of the call.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// The call's name towards the clients.
    pub call: String,
    reached: Vec<Reached>,
    /// Further endpoints of the user, in the order in which they are to ring.
    waiting: VecDeque<Endpoint>,
    limits: IncomingLimits,
}

impl Endpoints {
    /// Of a call that a client makes.
    pub fn outgoing(call: String, endpoint: Endpoint) -> Self {
        let mut endpoints = Endpoints {
            call,
            reached: Vec::with_capacity(1),
            waiting: VecDeque::new(),
            limits: IncomingLimits {
                ringing: 0,
                answered: 0,
            },
        };
        endpoints.attach(endpoint);
        endpoints
    }

    /// Of a call to a user with `endpoints`, in the order in which they are to ring; the call is named
    /// later. None where each has as many calls as it may.
    pub fn incoming(endpoints: Vec<Endpoint>, limits: IncomingLimits) -> Option<Self> {
        let mut endpoints = Endpoints {
            call: String::new(),
            reached: Vec::new(),
            waiting: endpoints.into(),
            limits,
        };
        while endpoints.ring_next().is_some() {}
        for endpoint in &endpoints.waiting {
            // One that is behind with its events is alive, or ends by itself.
            let _ = endpoint.sender.try_send(ClientEvent::Probe);
        }
        (!endpoints.reached.is_empty()).then_some(endpoints)
    }

    /// The endpoints of the call.
    pub fn ids(&self) -> Vec<EndpointId> {
        self.reached.iter().map(|reached| reached.id).collect()
    }

    /// The next endpoint that waits and has a place for the call rings, where fewer than
    /// [`MOST_RINGING`] do.
    pub fn ring_next(&mut self) -> Option<EndpointId> {
        while self.reached.len() < MOST_RINGING {
            let endpoint = self.waiting.pop_front()?;
            if let Some(place) = endpoint.state.ring(self.limits) {
                self.reached.push(Reached {
                    id: endpoint.id,
                    sender: endpoint.sender,
                    place: Some(place),
                });
                return Some(endpoint.id);
            }
        }
        None
    }

    /// One more endpoint of the user rings as soon as it is its turn.
    pub fn wait(&mut self, endpoint: Endpoint) {
        let known = |id| self.reached.iter().any(|reached| reached.id == id);
        if !known(endpoint.id) && self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(endpoint);
        }
    }

    /// One more endpoint can be told of the call.
    pub fn attach(&mut self, endpoint: Endpoint) {
        self.detach(endpoint.id);
        self.reached.push(Reached {
            id: endpoint.id,
            sender: endpoint.sender,
            place: None,
        });
    }

    /// An endpoint is lost.
    pub fn detach(&mut self, id: EndpointId) {
        self.reached.retain(|reached| reached.id != id);
    }

    /// An endpoint that rang has taken the call: no further one rings.
    pub fn select(&mut self, id: EndpointId) {
        self.waiting.clear();
        let mut of_endpoint = self.reached.iter_mut().filter(|reached| reached.id == id);
        if let Some(place) = of_endpoint.next().and_then(|it| it.place.as_mut()) {
            place.answer();
        }
    }

    /// Tells all. Gives those that do not take it, which are no longer reached: they are gone, or too
    /// slow to be of use.
    pub fn notify(&mut self, event: &ClientEvent) -> Vec<EndpointId> {
        if is_end(event) {
            self.waiting.clear();
        }
        let mut lost = Vec::new();
        self.reached.retain_mut(|reached| {
            let is_told = reached.tell(event.clone());
            if !is_told {
                lost.push(reached.id);
            }
            is_told
        });
        lost
    }

    /// Tells one; whether it took it. An endpoint that is told of the end is no longer reached.
    pub fn tell(&mut self, id: EndpointId, event: ClientEvent) -> bool {
        let mut places = self.reached.iter();
        let Some(at) = places.position(|reached| reached.id == id) else {
            return false;
        };
        if is_end(&event) {
            // A full queue is the endpoint's loss: it has nothing of this call to lose.
            self.reached.remove(at).tell(event);
            return true;
        }
        let is_told = self.reached[at].tell(event);
        if !is_told {
            self.reached.remove(at);
        }
        is_told
    }
}

impl Reached {
    fn tell(&mut self, event: ClientEvent) -> bool {
        // An endpoint that is told of the end may be called again at once.
        if is_end(&event) {
            self.place = None;
        }
        self.sender.try_send(event).is_ok()
    }
}

fn is_end(event: &ClientEvent) -> bool {
    matches!(
        event,
        ClientEvent::Notice {
            notice: Notice::Ended { .. },
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::call::EndReason;

    const LIMITS: IncomingLimits = IncomingLimits {
        ringing: 1,
        answered: 1,
    };

    type Events = mpsc::Receiver<ClientEvent>;

    fn user_endpoints(count: u64) -> (Vec<Endpoint>, Vec<Events>) {
        let one = |id| {
            let (sender, events) = mpsc::channel(2);
            (Endpoint::new(EndpointId(id), sender), events)
        };
        (1..=count).map(one).unzip()
    }

    fn ids(of: impl IntoIterator<Item = u64>) -> Vec<EndpointId> {
        of.into_iter().map(EndpointId).collect()
    }

    fn notice(notice: Notice) -> ClientEvent {
        ClientEvent::Notice {
            call: "in-1".to_owned(),
            notice,
        }
    }

    fn ended() -> ClientEvent {
        notice(Notice::Ended {
            reason: EndReason::AnsweredElsewhere,
            status: None,
        })
    }

    #[test]
    fn seventeenth_endpoint_is_probed_and_rings_when_one_is_lost() {
        let (all, mut events) = user_endpoints(18);
        let mut endpoints = Endpoints::incoming(all, LIMITS).expect("they ring");
        assert_eq!(endpoints.ids(), ids(1..=16));
        assert!(matches!(events[16].try_recv(), Ok(ClientEvent::Probe)));
        assert_eq!(endpoints.ring_next(), None, "sixteen ring");
        endpoints.detach(EndpointId(3));
        assert_eq!(endpoints.ring_next(), Some(EndpointId(17)));
        assert_eq!(endpoints.ring_next(), None);
        assert!(endpoints.notify(&notice(Notice::Ringing)).is_empty());
        assert!(matches!(
            events[16].try_recv(),
            Ok(ClientEvent::Notice { .. })
        ));
        assert!(matches!(events[17].try_recv(), Ok(ClientEvent::Probe)));
        assert!(events[17].try_recv().is_err(), "it does not ring yet");
    }

    #[test]
    fn waiting_endpoint_does_not_ring_after_answer_or_end() {
        for is_answered in [true, false] {
            let (all, _events) = user_endpoints(17);
            let mut endpoints = Endpoints::incoming(all, LIMITS).expect("they ring");
            match is_answered {
                true => endpoints.select(EndpointId(2)),
                false => drop(endpoints.notify(&ended())),
            }
            endpoints.detach(EndpointId(1));
            assert_eq!(endpoints.ring_next(), None);
        }
    }

    #[test]
    fn endpoint_with_its_calls_is_passed_over() {
        let (all, _events) = user_endpoints(2);
        let busy = all[0].state.ring(LIMITS).expect("it rings");
        let endpoints = Endpoints::incoming(all.clone(), LIMITS).expect("one rings");
        assert_eq!(endpoints.ids(), ids([2]));
        assert!(Endpoints::incoming(all.clone(), LIMITS).is_none());
        drop((busy, endpoints));
        let endpoints = Endpoints::incoming(all, LIMITS).expect("both are free");
        assert_eq!(endpoints.ids(), ids([1, 2]));
    }

    #[test]
    fn answer_and_refusal_give_places_back() {
        let (all, _events) = user_endpoints(3);
        let mut endpoints = Endpoints::incoming(all.clone(), LIMITS).expect("they ring");
        assert!(endpoints.tell(EndpointId(1), ended()), "it refuses");
        assert!(endpoints.tell(EndpointId(3), ended()), "it stops ringing");
        endpoints.select(EndpointId(2));
        let free = |at: usize| all[at].state.ring(LIMITS).is_some();
        assert!(free(0) && !free(1) && free(2));
        assert_eq!(endpoints.ids(), ids([2]));
        assert!(endpoints.notify(&ended()).is_empty());
        assert!(free(1), "before the call's task has ended");
    }

    #[test]
    fn endpoint_that_takes_no_event_is_no_longer_reached() {
        let (all, mut events) = user_endpoints(2);
        let mut endpoints = Endpoints::incoming(all, LIMITS).expect("they ring");
        for _ in 0..2 {
            assert!(endpoints.notify(&notice(Notice::Ringing)).is_empty());
            events[1].try_recv().expect("it is read");
        }
        assert_eq!(endpoints.notify(&notice(Notice::Ringing)), ids([1]));
        assert_eq!(endpoints.ids(), ids([2]));
        events.remove(1);
        assert!(!endpoints.tell(EndpointId(2), notice(Notice::Ringing)));
        assert!(endpoints.ids().is_empty());
    }

    #[test]
    fn endpoint_that_attaches_is_told_what_follows() {
        let (mut all, mut events) = user_endpoints(2);
        let second = all.pop().expect("two");
        let mut endpoints = Endpoints::outgoing("c1".to_owned(), all.remove(0));
        endpoints.detach(EndpointId(1));
        assert!(endpoints.notify(&notice(Notice::Ringing)).is_empty());
        endpoints.attach(second.clone());
        endpoints.attach(second);
        assert_eq!(endpoints.ids(), ids([2]), "once");
        assert!(endpoints.notify(&notice(Notice::Ringing)).is_empty());
        assert!(events[0].try_recv().is_err());
        assert!(events[1].try_recv().is_ok());
    }
}
