//! Calls as traces, without a network: what happens goes into the machine, what it wants done
//! comes out. Browser descriptions are recorded ones.
#![expect(
    clippy::disallowed_methods,
    reason = "a trace begins somewhere in time"
)]

mod answers;
mod descriptions;
mod early;
mod endpoints;
mod fallback;
mod hang_up;
mod keys;
mod ringback;
mod transfers;

use std::time::{Duration, Instant};

use trunkline::call::{
    Action, Call, CallId, ClientOffer, Command, DigitsBy, EndReason, EndpointId, Event, Invitation,
    Local, Notice, Parties, Quality, Refusal, ResumeToken, Rules, TransferTarget,
};
use trunkline::codec::{Codec, Direction};
use trunkline::sdp;

const CHROMIUM_OFFER: &str = include_str!("../fixtures/sdp/chromium-offer-audio.sdp");
const PBX_ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

fn transport() -> sdp::IceDtlsParameters {
    sdp::IceDtlsParameters {
        ufrag: "localufrag".to_owned(),
        pwd: "localpasswordlocalpassword".to_owned(),
        lite: false,
        trickle: true,
        fingerprints: vec![sdp::Fingerprint {
            hash: "sha-256".to_owned(),
            value: vec![7; 32],
        }],
        setup: sdp::Setup::ActPass,
        candidates: vec!["candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host".to_owned()],
        end_of_candidates: true,
    }
}

/// The endpoint that calls, and the one that rings.
const CLIENT: EndpointId = EndpointId(3);

fn client_offer(sdp: &str) -> ClientOffer<'_> {
    ClientOffer {
        endpoint: CLIENT,
        parties: Parties {
            from: "alice".to_owned(),
            name: None,
            to: "1001".to_owned(),
        },
        sdp,
    }
}

struct Trace {
    call: Call,
    now: Instant,
}

fn rules(passthrough: bool) -> Rules {
    Rules {
        browser: sdp::BrowserPolicy::default(),
        trunk: sdp::TrunkPolicy {
            prefer_passthrough: passthrough,
            ..sdp::TrunkPolicy::default()
        },
        ring_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(30),
        media_timeout: None,
        detach_grace: Duration::ZERO,
        delayed_offer: false,
        digits: DigitsBy::Media,
    }
}

fn local() -> Local {
    Local {
        id: CallId::new(7),
        token: ResumeToken::new([7; 32]),
        rtp: sdp::LocalMedia::new(
            "192.0.2.1:20000".parse().expect("an address"),
            sdp::KeySeed::new([7; 32]),
        ),
        transport: transport(),
        browser_session: sdp::SessionIds::new(1),
        pbx_session: sdp::SessionIds::new(2),
    }
}

impl Trace {
    fn outgoing(passthrough: bool, offer: &str) -> (Self, Vec<Action>) {
        let now = Instant::now();
        let call = Call::outgoing(rules(passthrough), local(), client_offer(offer), now);
        let mut trace = Trace { call, now };
        let actions = trace.actions();
        (trace, actions)
    }

    fn incoming(offer: Option<&str>) -> (Self, Vec<Action>) {
        let now = Instant::now();
        let invitation = Invitation {
            from: "1001".to_owned(),
            name: Some("Desk".to_owned()),
            to: "web-alice".to_owned(),
            endpoints: vec![CLIENT],
            offer: offer.map(str::to_owned),
            ..Invitation::default()
        };
        let call = Call::incoming(rules(false), local(), invitation, now);
        let mut trace = Trace { call, now };
        let actions = trace.actions();
        (trace, actions)
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.call.poll_action()).collect()
    }

    fn happens(&mut self, event: Event) -> Vec<Action> {
        self.call.handle_event(event, self.now);
        self.actions()
    }

    fn asked(&mut self, command: Command) -> Vec<Action> {
        self.call.handle_command(command, self.now);
        self.actions()
    }

    fn established() -> Self {
        let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
        trace.happens(Event::PeerConnected);
        let actions = trace.happens(Event::Accepted {
            sdp: Some(PBX_ANSWER.to_owned()),
            fork: 0,
        });
        assert!(told(&actions, &Notice::Answered));
        trace
    }
}

fn told(actions: &[Action], notice: &Notice) -> bool {
    actions.contains(&Action::Notify(notice.clone()))
}

fn ended(actions: &[Action]) -> Option<EndReason> {
    actions.iter().find_map(|action| match action {
        Action::Finish { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn answer_of(actions: &[Action]) -> Option<&str> {
    actions.iter().find_map(|action| match action {
        Action::Notify(Notice::Answer { sdp }) => Some(sdp.as_str()),
        _ => None,
    })
}

fn pbx_direction(actions: &[Action]) -> Option<Direction> {
    actions.iter().find_map(|action| match action {
        Action::SetFormats { pbx, .. } => Some(pbx.direction),
        _ => None,
    })
}

#[test]
fn the_browser_is_answered_before_the_pbx_says_anything() {
    let (mut trace, actions) = Trace::outgoing(false, CHROMIUM_OFFER);
    let answer = answer_of(&actions).expect("an answer at once");
    assert!(answer.contains("a=setup:passive"), "{answer}");
    assert!(
        answer.contains("maxplaybackrate=8000"),
        "the other leg is G.711: {answer}"
    );
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::SetRemoteDescription(_)))
    );
    let invite = actions.iter().find_map(|action| match action {
        Action::Invite { offer } => offer.as_deref(),
        _ => None,
    });
    assert!(
        invite
            .expect("an INVITE")
            .contains("m=audio 20000 RTP/AVP 0 8")
    );

    let ringing = trace.happens(Event::Progressed {
        status: 180,
        sdp: None,
        fork: 0,
    });
    assert!(told(&ringing, &Notice::Ringing));
    assert!(
        trace
            .happens(Event::Progressed {
                status: 180,
                sdp: None,
                fork: 0,
            })
            .is_empty(),
        "told once"
    );
    let answered = trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    assert!(told(&answered, &Notice::Answered));
    assert_eq!(answer_of(&answered), None, "the browser has its one answer");
    assert_eq!(pbx_direction(&answered), Some(Direction::SendRecv));
}

#[test]
fn with_passthrough_the_browser_is_answered_with_the_codec_of_the_pbx() {
    let (mut trace, actions) = Trace::outgoing(true, CHROMIUM_OFFER);
    assert_eq!(answer_of(&actions), None, "the codec is not known yet");
    let answered = trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    assert!(answer_of(&answered).is_some());
    let codec = answered.iter().find_map(|action| match action {
        Action::SetFormats { browser, pbx } => Some((browser.send.codec, pbx.send.codec)),
        _ => None,
    });
    assert_eq!(codec, Some((Codec::Pcmu, Codec::Pcmu)));
}

#[test]
fn early_media_and_a_changed_final_answer_only_move_the_rtp_side() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    let early = trace.happens(Event::Progressed {
        status: 183,
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    assert!(told(&early, &Notice::EarlyMedia));
    let moved = PBX_ANSWER
        .replace("4000", "4444")
        .replace("RTP/AVP 0 101", "RTP/AVP 8 101")
        .replace("0 PCMU/8000", "8 PCMA/8000");
    let answered = trace.happens(Event::Accepted {
        sdp: Some(moved),
        fork: 0,
    });
    assert!(told(&answered, &Notice::Answered));
    assert_eq!(answer_of(&answered), None);
    assert!(
        answered
            .iter()
            .any(|action| matches!(action, Action::SetRemoteRtp { rtp, .. } if rtp.port() == 4444))
    );
    assert!(answered.iter().any(
        |action| matches!(action, Action::SetFormats { pbx, .. } if pbx.send.codec == Codec::Pcma)
    ));
}

#[test]
fn every_refusal_has_its_reason() {
    for (status, reason) in [
        (486, EndReason::Busy),
        (603, EndReason::Declined),
        (404, EndReason::NotFound),
        (407, EndReason::Unauthorized),
        (408, EndReason::TrunkUnreachable),
        (480, EndReason::NoAnswer),
        (500, EndReason::TrunkRefused),
    ] {
        let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
        let actions = trace.happens(Event::Refused {
            status,
            cause: None,
            from_pbx: true,
        });
        let finish = Action::Finish {
            reason,
            status: Some(status),
        };
        assert_eq!(actions.last(), Some(&finish), "{status}");
        assert!(trace.call.is_ended());
    }
}

#[test]
fn a_call_that_nobody_answers_ends_in_time_and_one_that_is_hung_up_is_cancelled() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::PeerConnected);
    let deadline = trace
        .call
        .poll_timeout()
        .expect("it does not ring for ever");
    assert_eq!(deadline, trace.now + Duration::from_secs(60));
    trace.call.handle_timeout(deadline);
    let actions = trace.actions();
    assert_eq!(ended(&actions), Some(EndReason::NoAnswer));
    assert!(actions.contains(&Action::EndPbx {
        reason: EndReason::NoAnswer,
        warning: None,
    }));

    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    let actions = trace.asked(Command::HangUp { reason: None });
    assert_eq!(ended(&actions), Some(EndReason::Cancelled));
}

#[test]
fn a_browser_that_never_connects_does_not_hold_the_call() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    trace.happens(Event::Accepted {
        sdp: Some(PBX_ANSWER.to_owned()),
        fork: 0,
    });
    let deadline = trace.call.poll_timeout().expect("ICE has a deadline");
    trace.call.handle_timeout(deadline);
    assert_eq!(ended(&trace.actions()), Some(EndReason::IceFailed));

    let mut trace = Trace::established();
    assert_eq!(trace.call.poll_timeout(), None, "connected calls have none");
    let lost = trace.happens(Event::PeerFailed {
        reason: EndReason::IceFailed,
    });
    assert_eq!(ended(&lost), Some(EndReason::IceFailed));
}

#[test]
fn offers_that_cannot_be_used_end_with_their_code() {
    let no_fingerprint: String = CHROMIUM_OFFER
        .lines()
        .filter(|line| !line.starts_with("a=fingerprint"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    for offer in ["", "v=0", "not sdp at all", no_fingerprint.as_str()] {
        let (trace, actions) = Trace::outgoing(false, offer);
        assert_eq!(ended(&actions), Some(EndReason::BadOffer), "{offer}");
        assert!(trace.call.is_ended());
        let explained = actions.iter().any(|action| {
            matches!(
                action,
                Action::Notify(Notice::Refused {
                    refusal: Refusal::BadOffer,
                    ..
                })
            )
        });
        assert!(explained, "{offer}");
    }
}

#[test]
fn the_pbx_holds_and_resumes_three_times() {
    let mut trace = Trace::established();
    for round in 0..3 {
        for (attribute, held, direction) in [
            ("sendonly", true, Direction::RecvOnly),
            ("sendrecv", false, Direction::SendRecv),
            ("inactive", true, Direction::Inactive),
            ("sendrecv", false, Direction::SendRecv),
        ] {
            let offer = PBX_ANSWER.replace("sendrecv", attribute);
            let actions = trace.happens(Event::Reoffered {
                sdp: Some(offer),
                fork: None,
            });
            let answered = actions.iter().find_map(|action| match action {
                Action::AnswerReoffer { answer } => Some(answer.as_str()),
                _ => None,
            });
            let answer = answered.expect("an answer");
            assert!(
                answer.contains(&format!("a={}", direction.attribute())),
                "{round}: {answer}"
            );
            assert_eq!(pbx_direction(&actions), Some(direction));
            assert!(
                told(&actions, &Notice::Held { on: held }),
                "{round} {attribute}"
            );
        }
    }
}

#[test]
fn the_page_holds_and_glare_is_tried_again() {
    let mut trace = Trace::established();
    let actions = trace.asked(Command::Hold { on: true });
    let offer = actions.iter().find_map(|action| match action {
        Action::Reoffer { offer } => Some(offer.clone()),
        _ => None,
    });
    assert!(offer.expect("a re-INVITE").contains("a=sendonly"));
    assert!(
        trace
            .happens(Event::ReofferRefused {
                status: 491,
                retry_after: Some(Duration::from_millis(2_340))
            })
            .is_empty()
    );
    let again = trace.call.poll_timeout().expect("it is tried again");
    assert_eq!(again, trace.now + Duration::from_millis(2_340));
    trace.call.handle_timeout(again);
    let actions = trace.actions();
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Reoffer { .. }))
    );
    let answer = PBX_ANSWER.replace("sendrecv", "recvonly");
    let actions = trace.happens(Event::ReofferAnswered { sdp: answer });
    assert_eq!(pbx_direction(&actions), Some(Direction::SendOnly));

    // A wish that changes while the last is under way is not forgotten.
    trace.asked(Command::Hold { on: false });
    trace.asked(Command::Hold { on: true });
    let actions = trace.happens(Event::ReofferAnswered {
        sdp: PBX_ANSWER.to_owned(),
    });
    let held_again = actions
        .iter()
        .any(|action| matches!(action, Action::Reoffer { offer } if offer.contains("a=sendonly")));
    assert!(held_again, "{actions:?}");
}

#[test]
fn a_refused_hold_leaves_the_call_as_it_was() {
    let mut trace = Trace::established();
    trace.asked(Command::Hold { on: true });
    let actions = trace.happens(Event::ReofferRefused {
        status: 488,
        retry_after: None,
    });
    assert!(matches!(
        actions.as_slice(),
        [Action::Notify(Notice::Refused {
            refusal: Refusal::HoldRefused,
            ..
        })]
    ));
    assert!(!trace.call.is_ended());
    assert!(
        !trace.asked(Command::Hold { on: true }).is_empty(),
        "it may be tried again"
    );
}

/// What a page answers: Chromium's recorded answer, with our payload types.
fn browser_answer() -> String {
    "v=0\r\no=- 5 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
     m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110 126\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
     a=ice-pwd:0123456789012345678901\r\na=ice-options:trickle\r\n\
     a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
     a=setup:active\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
     a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
     a=rtpmap:126 telephone-event/8000\r\n"
        .to_owned()
}

#[test]
fn the_pbx_calls_and_the_page_accepts() {
    let (mut trace, actions) = Trace::incoming(Some(PBX_ANSWER));
    let offered = actions.iter().find_map(|action| match action {
        Action::Notify(Notice::Incoming { from, offer, .. }) => {
            Some((from.as_str(), offer.as_str()))
        }
        _ => None,
    });
    let (from, offer) = offered.expect("the page is told");
    assert_eq!(from, "1001");
    assert!(offer.contains("a=setup:actpass"), "{offer}");
    assert!(actions.contains(&Action::Progress {
        status: 180,
        sdp: None
    }));
    let accept = Command::Accept {
        endpoint: CLIENT,
        sdp: browser_answer(),
    };
    let actions = trace.asked(accept);
    assert!(actions.contains(&Action::Select(CLIENT)));
    let answer = actions.iter().find_map(|action| match action {
        Action::Accept { sdp } => Some(sdp.as_str()),
        _ => None,
    });
    assert!(answer.expect("a 200").contains("m=audio 20000 RTP/AVP 0"));
    assert!(told(&actions, &Notice::Answered));
    let actions = trace.happens(Event::Ended {
        reason: EndReason::HangupRemote,
    });
    assert_eq!(ended(&actions), Some(EndReason::HangupRemote));
}

#[test]
fn an_invite_without_description_gets_our_offer_and_the_ack_has_the_answer() {
    let (mut trace, _) = Trace::incoming(None);
    let accept = Command::Accept {
        endpoint: CLIENT,
        sdp: browser_answer(),
    };
    let actions = trace.asked(accept);
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Accept { .. }))
    );
    assert!(
        !told(&actions, &Notice::Answered),
        "the PBX has not answered yet"
    );
    let actions = trace.happens(Event::Confirmed {
        sdp: Some(PBX_ANSWER.to_owned()),
    });
    assert!(told(&actions, &Notice::Answered));
    assert_eq!(pbx_direction(&actions), Some(Direction::SendRecv));
}

#[test]
fn what_does_not_fit_is_refused_and_the_call_goes_on() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    for command in [
        Command::Accept {
            endpoint: CLIENT,
            sdp: browser_answer(),
        },
        Command::Hold { on: true },
        Command::SendDigits {
            digits: "1".to_owned(),
            duration: Duration::from_millis(100),
        },
    ] {
        let actions = trace.asked(command);
        assert!(matches!(
            actions.as_slice(),
            [Action::Notify(Notice::Refused {
                refusal: Refusal::BadState,
                ..
            })]
        ));
    }
    assert!(!trace.call.is_ended());
}

#[test]
fn call_that_only_rings_has_no_statistics_and_early_media_has() {
    let (mut trace, _) = Trace::outgoing(false, CHROMIUM_OFFER);
    let quality = |packets_in| {
        let mut quality = Box::<Quality>::default();
        quality.pbx.packets_in = packets_in;
        quality
    };
    let nothing_heard = trace.happens(Event::Measured(quality(0)));
    assert!(nothing_heard.is_empty(), "{nothing_heard:?}");
    let (mut rings, _) = Trace::incoming(None);
    let actions = rings.happens(Event::Measured(quality(0)));
    assert!(actions.is_empty(), "{actions:?}");
    assert!(told(
        &trace.happens(Event::Measured(quality(1))),
        &Notice::Quality(quality(1))
    ));
}

#[test]
fn nothing_follows_the_end() {
    let mut trace = Trace::established();
    assert_eq!(
        ended(&trace.asked(Command::HangUp { reason: None })),
        Some(EndReason::HangupLocal)
    );
    assert!(
        trace
            .happens(Event::Ended {
                reason: EndReason::HangupRemote
            })
            .is_empty()
    );
    assert!(trace.asked(Command::HangUp { reason: None }).is_empty());
    assert_eq!(trace.call.poll_timeout(), None);
}
