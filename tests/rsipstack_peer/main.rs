//! Calls with an independent SIP stack, `rsipstack`, over loopback: each end places and takes
//! calls, by UDP and by TCP.
#![expect(clippy::disallowed_methods, reason = "drives real sockets")]

mod stack;

use std::time::Duration;

use rsipstack::dialog::dialog::{DialogState, TerminatedReason};
use rsipstack::sip::StatusCode;
use stack::{ANSWER, Challenge, PASSWORD, Stack, sdp_headers};
use tokio::sync::mpsc;
use tokio::time::timeout;
use trunkline::redacted::Redacted;
use trunkline::sip::{
    Command, Config, Credentials, EndedBy, Event, Handle, Incoming, LegId, Listen, Outgoing,
    Registration, RegistrationState, Target, Transport, Trunk, start,
};

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
     m=audio 4000 RTP/AVP 0\r\n";
const NEW_OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
     m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n";

/// Our user agent with one trunk: the stack.
struct Ours {
    handle: Handle,
    incoming: mpsc::Receiver<Incoming>,
    transport: Transport,
}

impl Ours {
    async fn start(stack: &Stack, transport: Transport, more: impl FnOnce(&mut Trunk)) -> Ours {
        let target = Target {
            host: "127.0.0.1".to_owned(),
            port: Some(stack.port),
            transport: Some(transport),
        };
        let mut trunk = Trunk::new("stack", target);
        more(&mut trunk);
        let listen = |transport| Listen {
            transport,
            address: "127.0.0.1:0".parse().expect("an address"),
        };
        let config = Config {
            listen: vec![listen(Transport::Udp), listen(Transport::Tcp)],
            user_agent: "Trunkline".to_owned(),
            trunks: vec![trunk],
            ..Config::default()
        };
        let (sender, incoming) = mpsc::channel(8);
        Ours {
            handle: start(config, sender).await.expect("loopback binds"),
            incoming,
            transport,
        }
    }

    fn port(&self) -> u16 {
        self.handle
            .local_addresses()
            .into_iter()
            .find(|listen| listen.transport == self.transport)
            .expect("a listener of this transport")
            .address
            .port()
    }

    async fn call(&self) -> Leg {
        let (sender, events) = mpsc::channel(16);
        let outgoing = Outgoing {
            trunk: "stack".to_owned(),
            to_user: "bob".to_owned(),
            from_user: "alice".to_owned(),
            body: OFFER.into(),
            ..Outgoing::default()
        };
        let id = self.handle.invite(outgoing, sender).await.expect("placed");
        Leg { id, events }
    }

    async fn called(&mut self) -> (Incoming, Leg) {
        let call = next(&mut self.incoming).await;
        let (sender, events) = mpsc::channel(16);
        self.handle.attach(call.leg, sender).await;
        let leg = Leg {
            id: call.leg,
            events,
        };
        (call, leg)
    }

    async fn command(&self, leg: &Leg, command: Command) {
        self.handle.command(leg.id, command).await.expect("begun");
    }

    async fn stop(self) {
        timeout(Duration::from_secs(5), self.handle.shut_down())
            .await
            .expect("stops");
    }
}

struct Leg {
    id: LegId,
    events: mpsc::Receiver<Event>,
}

impl Leg {
    async fn event(&mut self) -> Event {
        next(&mut self.events).await
    }

    async fn accepted(&mut self) {
        loop {
            match self.event().await {
                Event::Progress { .. } => {}
                Event::Accepted { body, .. } => {
                    assert_eq!(body.as_deref(), Some(ANSWER.as_bytes()));
                    return;
                }
                other => panic!("an answer expected, got {other:?}"),
            }
        }
    }
}

/// What comes next, the address of the peer left out.
async fn next<T: 'static>(queue: &mut mpsc::Receiver<T>) -> T {
    loop {
        let item = timeout(Duration::from_secs(5), queue.recv())
            .await
            .expect("in time")
            .expect("open");
        let event = (&item as &dyn std::any::Any).downcast_ref::<Event>();
        if !matches!(event, Some(Event::PeerAddress { .. })) {
            return item;
        }
    }
}

fn bob() -> Option<Credentials> {
    Some(Credentials {
        username: "bob".to_owned(),
        password: Redacted::new(PASSWORD.to_owned()),
    })
}

async fn we_call_it(transport: Transport) {
    let mut stack = Stack::start(transport, Challenge::None).await;
    let ours = Ours::start(&stack, transport, |_| {}).await;
    let mut leg = ours.call().await;
    let dialog = stack.called().await;
    assert_eq!(dialog.initial_request().body, OFFER.as_bytes());
    dialog.ringing(None, None).expect("rings");
    assert!(matches!(
        leg.event().await,
        Event::Progress { status: 180, .. }
    ));
    dialog
        .accept(sdp_headers(), Some(ANSWER.into()))
        .expect("answers");
    leg.accepted().await;
    // Confirmed by our ACK.
    stack
        .state(|state| matches!(state, DialogState::Confirmed(..)).then_some(()))
        .await;

    // We hold.
    let hold = Command::Reinvite {
        body: NEW_OFFER.into(),
    };
    ours.command(&leg, hold).await;
    assert_eq!(stack.answer_reinvite(ANSWER).await, NEW_OFFER.as_bytes());
    assert!(matches!(leg.event().await, Event::ReinviteAnswered { .. }));

    // It holds.
    let asking = {
        let dialog = dialog.clone();
        tokio::spawn(async move { dialog.reinvite(sdp_headers(), Some(NEW_OFFER.into())).await })
    };
    match leg.event().await {
        Event::Reinvited { body, .. } => assert_eq!(body.as_deref(), Some(NEW_OFFER.as_bytes())),
        other => panic!("a re-INVITE expected, got {other:?}"),
    }
    let answer = Command::AnswerReinvite { body: OFFER.into() };
    ours.command(&leg, answer).await;
    let answered = asking.await.expect("ran").expect("sent").expect("answered");
    assert_eq!(answered.status_code, StatusCode::OK);
    assert_eq!(answered.body, OFFER.as_bytes());
    assert!(matches!(leg.event().await, Event::Confirmed { .. }));

    ours.command(&leg, Command::Hangup { cause: Some(16) })
        .await;
    assert!(matches!(
        stack.ended_with().await,
        DialogState::Terminated(_, TerminatedReason::UacBye)
    ));
    assert!(matches!(
        leg.event().await,
        Event::Ended {
            why: EndedBy::Bye,
            ..
        }
    ));
    ours.stop().await;
}

#[tokio::test]
async fn we_call_it_by_udp() {
    we_call_it(Transport::Udp).await;
}

#[tokio::test]
async fn we_call_it_by_tcp() {
    we_call_it(Transport::Tcp).await;
}

async fn it_calls_us(transport: Transport) {
    let mut stack = Stack::start(transport, Challenge::None).await;
    let mut ours = Ours::start(&stack, transport, |_| {}).await;
    let dialog = stack.call("600", ours.port(), transport, OFFER);
    let (call, mut leg) = ours.called().await;
    assert_eq!(call.trunk.as_deref(), Some("stack"));
    assert_eq!(call.request_user, "600");
    assert_eq!(call.from_user, "bob");
    assert_eq!(call.body.as_deref(), Some(OFFER.as_bytes()));
    let ringing = Command::Progress {
        status: 180,
        body: None,
    };
    ours.command(&leg, ringing).await;
    let early = stack
        .state(|state| match state {
            DialogState::Early(_, response) => Some(response.status_code),
            _ => None,
        })
        .await;
    assert_eq!(early, StatusCode::Ringing);
    let accept = Command::Accept {
        body: ANSWER.into(),
    };
    ours.command(&leg, accept).await;
    let answer = stack
        .state(|state| match state {
            DialogState::Confirmed(_, response) => Some(response.body),
            _ => None,
        })
        .await;
    assert_eq!(answer, ANSWER.as_bytes());
    assert!(matches!(leg.event().await, Event::Confirmed { .. }));

    // It holds, then hangs up.
    let asking = {
        let dialog = dialog.clone();
        tokio::spawn(async move { dialog.reinvite(sdp_headers(), Some(NEW_OFFER.into())).await })
    };
    assert!(matches!(leg.event().await, Event::Reinvited { .. }));
    let answer = Command::AnswerReinvite {
        body: ANSWER.into(),
    };
    ours.command(&leg, answer).await;
    let answered = asking.await.expect("ran").expect("sent").expect("answered");
    assert_eq!(answered.status_code, StatusCode::OK);
    assert!(matches!(leg.event().await, Event::Confirmed { .. }));

    dialog.bye().await.expect("hung up");
    assert!(matches!(
        leg.event().await,
        Event::Ended {
            why: EndedBy::Bye,
            ..
        }
    ));
    ours.stop().await;
}

#[tokio::test]
async fn it_calls_us_by_udp() {
    it_calls_us(Transport::Udp).await;
}

#[tokio::test]
async fn it_calls_us_by_tcp() {
    it_calls_us(Transport::Tcp).await;
}

#[tokio::test]
async fn we_take_our_call_back() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut stack = Stack::start(transport, Challenge::None).await;
        let ours = Ours::start(&stack, transport, |_| {}).await;
        let mut leg = ours.call().await;
        let dialog = stack.called().await;
        dialog.ringing(None, None).expect("rings");
        assert!(matches!(leg.event().await, Event::Progress { .. }));
        ours.command(&leg, Command::Hangup { cause: None }).await;
        assert!(matches!(
            stack.ended_with().await,
            DialogState::Terminated(_, TerminatedReason::UacCancel)
        ));
        assert!(leg.event().await.is_final());
        ours.stop().await;
    }
}

#[tokio::test]
async fn it_takes_its_call_back() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut stack = Stack::start(transport, Challenge::None).await;
        let mut ours = Ours::start(&stack, transport, |_| {}).await;
        let dialog = stack.call("600", ours.port(), transport, OFFER);
        let (_, mut leg) = ours.called().await;
        let ringing = Command::Progress {
            status: 180,
            body: None,
        };
        ours.command(&leg, ringing).await;
        stack
            .state(|state| matches!(state, DialogState::Early(..)).then_some(()))
            .await;
        dialog.cancel().await.expect("cancelled");
        assert_eq!(leg.event().await, Event::Cancelled);
        assert!(matches!(
            stack.ended_with().await,
            DialogState::Terminated(_, TerminatedReason::UasOther(StatusCode::RequestTerminated))
        ));
        ours.stop().await;
    }
}

#[tokio::test]
async fn it_refuses_our_call_and_we_refuse_its() {
    let mut stack = Stack::start(Transport::Udp, Challenge::None).await;
    let mut ours = Ours::start(&stack, Transport::Udp, |_| {}).await;
    let mut leg = ours.call().await;
    let dialog = stack.called().await;
    dialog
        .reject(Some(StatusCode::BusyHere), None)
        .expect("refused");
    assert!(matches!(
        leg.event().await,
        Event::Refused {
            status: 486,
            local: false,
            ..
        }
    ));
    stack.ended_with().await;

    stack.call("600", ours.port(), Transport::Udp, OFFER);
    let (_, leg) = ours.called().await;
    let refuse = Command::Reject {
        status: 486,
        reason: None,
        warning: None,
    };
    ours.command(&leg, refuse).await;
    assert!(matches!(
        stack.ended_with().await,
        DialogState::Terminated(_, TerminatedReason::UasOther(StatusCode::BusyHere))
    ));
    ours.stop().await;
}

#[tokio::test]
async fn it_asks_who_we_are() {
    for challenge in [
        Challenge::Www("MD5"),
        Challenge::Www("SHA-256"),
        Challenge::Proxy("MD5"),
        Challenge::Proxy("SHA-256"),
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut stack = Stack::start(transport, challenge).await;
            let ours = Ours::start(&stack, transport, |trunk| trunk.credentials = bob()).await;
            let mut leg = ours.call().await;
            let dialog = stack.called().await;
            dialog
                .accept(sdp_headers(), Some(ANSWER.into()))
                .expect("answers");
            leg.accepted().await;
            dialog.bye().await.expect("hung up");
            assert!(leg.event().await.is_final());
            ours.stop().await;
        }
    }
}

#[tokio::test]
async fn it_does_not_take_a_wrong_password() {
    let stack = Stack::start(Transport::Udp, Challenge::Www("SHA-256")).await;
    let ours = Ours::start(&stack, Transport::Udp, |trunk| {
        trunk.credentials = Some(Credentials {
            username: "bob".to_owned(),
            password: Redacted::new("wrong".to_owned()),
        });
    })
    .await;
    let mut leg = ours.call().await;
    assert!(matches!(
        leg.event().await,
        Event::Refused {
            status: 401,
            local: false,
            ..
        }
    ));
    ours.stop().await;
}

#[tokio::test]
async fn we_register_at_it_and_take_the_registration_back() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut stack = Stack::start(transport, Challenge::Www("SHA-256")).await;
        let mut ours = Ours::start(&stack, transport, |trunk| {
            trunk.credentials = bob();
            trunk.registration = Some(Registration {
                user: "bob".to_owned(),
                expires: 300,
                outbound: true,
            });
        })
        .await;
        let binding = stack.registered().await;
        assert_eq!(binding.expires, Some(300));
        // A call to the contact is one for the registered user.
        let contact = binding.contact.split(['@', ':']).nth(1).expect("a user");
        stack.call(contact, ours.port(), transport, OFFER);
        let (call, leg) = ours.called().await;
        assert_eq!(call.request_user, "bob");
        let refuse = Command::Reject {
            status: 480,
            reason: None,
            warning: None,
        };
        ours.command(&leg, refuse).await;

        let handle = ours.handle.clone();
        for _ in 0..100 {
            if handle.registrations()[0].state == RegistrationState::Registered {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(
            handle.registrations()[0].state,
            RegistrationState::Registered
        );
        ours.stop().await;
        assert_eq!(stack.registered().await.expires, Some(0));
    }
}
