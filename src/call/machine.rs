//! One call as a pure state machine: events and the time in, actions out.
//!
//! ```text
//! outgoing   Calling ---------2xx--------> Established ---> Ended
//! incoming   Offering --client's answer----> Established ---> Ended
//!            Offering --client's answer--> Confirming --ACK--> Established   (INVITE without SDP)
//! ```
//!
//! No sockets, clock or randomness: what is random (session ids) and what the network gave
//! (ports, candidates) comes in with [`Local`]. Each state owns what exists only while it lasts.

mod attachment;
mod established;
mod incoming;
mod outgoing;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use established::Established;
pub use incoming::Invitation;
use incoming::{Confirming, Offering};
use outgoing::Calling;
pub use outgoing::{ClientOffer, TrunkAttempt};

use super::EndReason;
use super::browser_end::BrowserEnd;
use super::ids::{CallId, ResumeToken};
use super::message::{Action, Command, Event, Notice, Side};
use super::message_notice::MessageNotice;
use super::refusal::Refusal;
use super::snapshot::{CallDirection, Parties};
use crate::sdp::{self, MediaKind, Warning, bridge, jsep, offer_answer};

/// What configuration says about calls of this trunk.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Towards browsers.
    pub browser: sdp::BrowserPolicy,
    /// Towards the PBX.
    pub trunk: sdp::TrunkPolicy,
    /// How long a call may ring.
    pub ring_timeout: Duration,
    /// How long ICE and DTLS may take once both descriptions are there.
    pub connect_timeout: Duration,
    /// How long an answered call that is not on hold may be without audio from either side; none:
    /// for ever.
    pub media_timeout: Option<Duration>,
    /// How long a call goes on without an endpoint that has it, so that one may take it up again;
    /// zero: it ends with the loss of its endpoint.
    pub detach_grace: Duration,
    /// The PBX is to offer, not we.
    pub delayed_offer: bool,
    /// How digits reach the PBX.
    pub digits: DigitsBy,
}

impl Rules {
    /// The rules of a call whose RTP has this address: audio of the other family cannot reach it.
    fn with_rtp_at(mut self, address: SocketAddr) -> Self {
        self.trunk.families = sdp::RtpFamilies::of(address.ip());
        self
    }
}

/// How the digits that a client asks for reach the PBX once the call is answered; before that, in
/// the media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsBy {
    /// As telephone events (RFC 4733), or as tones where none were agreed on.
    Media,
    /// INFO with `application/dtmf-relay`.
    InfoRelay,
    /// INFO with `application/dtmf`.
    Info,
}

impl DigitsBy {
    /// Content-Type and body of the INFO for one digit; none where digits are media.
    fn info(self, digit: char, duration: Duration) -> Option<(&'static str, String)> {
        match self {
            DigitsBy::Media => None,
            DigitsBy::InfoRelay => {
                let milliseconds = duration.as_millis();
                let body = format!("Signal={digit}\r\nDuration={milliseconds}\r\n");
                Some(("application/dtmf-relay", body))
            }
            DigitsBy::Info => Some(("application/dtmf", digit.to_string())),
        }
    }
}

/// What was made ready for this call before it began.
#[derive(Clone, Debug)]
pub struct Local {
    /// Names the call.
    pub id: CallId,
    /// What a client shows to take the call up again.
    pub token: ResumeToken,
    /// The end of RTP towards the PBX: the address as the PBX reaches it, and where our keys
    /// come from.
    pub rtp: sdp::LocalMedia,
    /// The peer's side: ufrag, password, fingerprint, candidates.
    pub transport: sdp::IceDtlsParameters,
    /// Ids of the two session descriptions.
    pub browser_session: sdp::SessionIds,
    /// Likewise.
    pub pbx_session: sdp::SessionIds,
}

/// Where a call stands.
#[derive(Debug)]
enum State {
    /// We called the PBX for a client.
    Calling(Box<Calling>),
    /// The PBX called, endpoints ring.
    Offering(Box<Offering>),
    /// The client has answered, our 2xx carries our offer, the ACK will carry the answer.
    Confirming(Box<Confirming>),
    /// Both sides are there.
    Established(Box<Established>),
    /// Over.
    Ended,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    rules: Rules,
    local: Local,
    state: State,
    actions: VecDeque<Action>,
    /// When ICE and DTLS must be through; none before both descriptions are there, and after.
    connect_deadline: Option<Instant>,
    peer_connected: bool,
    /// The peer closed or failed while no endpoint had the call.
    peer_lost: bool,
    browser_end: BrowserEnd,
    direction: CallDirection,
    parties: Parties,
    began: Instant,
    answered: Option<Instant>,
    /// Our last description to the browser, where a client may take the call up again.
    description: Option<String>,
    /// What was wrong with the PBX's description that ends the call.
    warning: Option<Warning>,
}

/// Why an offer that cannot be used ends its call: nothing in common has a reason of its own.
fn refused_offer(error: &sdp::Error, otherwise: EndReason) -> EndReason {
    match error {
        sdp::Error::NoCommonCodec(_) => EndReason::NoCommonCodec,
        _ => otherwise,
    }
}

/// What is wrong with a description, for the Warning header of a refusal.
fn warning(error: &sdp::Error) -> Option<Warning> {
    Some(error.warning())
}

/// What a state makes of an input.
enum Step {
    /// It goes on.
    Stay(State),
    /// It is over.
    End(EndReason, Option<u16>),
}

impl Call {
    fn new(
        rules: Rules,
        local: Local,
        (direction, parties): (CallDirection, Parties),
        browser_end: BrowserEnd,
        now: Instant,
    ) -> Self {
        Call {
            rules: rules.with_rtp_at(local.rtp.address),
            local,
            warning: None,
            state: State::Ended,
            actions: VecDeque::new(),
            connect_deadline: None,
            peer_connected: false,
            peer_lost: false,
            browser_end,
            direction,
            parties,
            began: now,
            answered: None,
            description: None,
        }
    }

    /// Takes what a client asks.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        if self.is_of_other_endpoint(&command) {
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Ended);
        let step = match (state, command) {
            (State::Ended, _) => return,
            (state, Command::Trickle { candidate }) => {
                if let Some(candidate) = candidate {
                    self.push(Action::AddRemoteCandidate(candidate));
                }
                Step::Stay(state)
            }
            (state, Command::Attach { endpoint }) => self.attach(state, endpoint, now),
            (state, Command::Detach { endpoint, reason }) => {
                self.detach(state, endpoint, reason, now)
            }
            (State::Offering(offering), Command::Accept { endpoint, sdp }) => {
                offering.accept(self, endpoint, &sdp, now)
            }
            (state @ State::Offering(_), Command::Reject { endpoint, reason }) => {
                self.reject(state, endpoint, reason)
            }
            (
                _,
                Command::HangUp {
                    reason: Some(reason),
                },
            ) => Step::End(reason, None),
            (State::Offering(_), Command::HangUp { .. }) => Step::End(EndReason::Declined, None),
            (State::Calling(_), Command::HangUp { .. }) => Step::End(EndReason::Cancelled, None),
            // Whoever gives up an answered call that never had audio did not end it as people do.
            (_, Command::HangUp { .. }) if !self.peer_connected => {
                Step::End(EndReason::IceFailed, None)
            }
            (_, Command::HangUp { .. }) => Step::End(EndReason::HangupLocal, None),
            (_, Command::Overrun) => Step::End(EndReason::Overload, None),
            (_, Command::ShutDown) => Step::End(EndReason::Shutdown, None),
            (State::Established(mut established), Command::Transfer { to }) => {
                established.refer(self, to);
                Step::Stay(State::Established(established))
            }
            (State::Established(mut established), Command::Hold { on }) => {
                established.hold(self, on);
                Step::Stay(State::Established(established))
            }
            (state @ State::Established(_), Command::SendText { id, text }) => {
                self.push(Action::SendText { id, text });
                Step::Stay(state)
            }
            (state, Command::SendText { id, .. }) => {
                self.notify(Notice::Message(MessageNotice::Failed {
                    id,
                    code: Refusal::BadState.code(),
                    status: None,
                    text: "the call is not answered",
                }));
                Step::Stay(state)
            }
            (state @ State::Established(_), Command::SendDigits { digits, duration })
                if self.rules.digits != DigitsBy::Media =>
            {
                self.send_info(&digits, duration);
                Step::Stay(state)
            }
            (state, Command::SendDigits { digits, duration }) if state.has_media() => {
                self.push(Action::SendDigits {
                    to: Side::Pbx,
                    digits,
                    duration,
                });
                Step::Stay(state)
            }
            (state, command) => {
                let message = format!(
                    "{} does not fit a call that is {}",
                    command.name(),
                    state.name()
                );
                self.notify(Notice::Refused {
                    refusal: Refusal::BadState,
                    message,
                });
                Step::Stay(state)
            }
        };
        self.settle(step);
        self.note_answer(now);
    }

    /// Takes what happened.
    pub fn handle_event(&mut self, event: Event, now: Instant) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        let step = match (state, event) {
            (State::Ended, _) => return,
            (state, Event::PeerConnected) => {
                self.peer_connected = true;
                self.connect_deadline = None;
                Step::Stay(state)
            }
            // A client that is away may have closed its transport; it comes back with a new one.
            (state, Event::PeerClosed | Event::PeerFailed { .. })
                if self.browser_end.is_detached() =>
            {
                self.peer_lost = true;
                Step::Stay(state)
            }
            (_, Event::PeerFailed { reason }) => Step::End(reason, None),
            // A client that hangs up closes its connection too, and either may be heard first.
            (State::Offering(_), Event::PeerClosed) => Step::End(EndReason::Declined, None),
            (State::Calling(_), Event::PeerClosed) => Step::End(EndReason::Cancelled, None),
            (_, Event::PeerClosed) => Step::End(EndReason::HangupLocal, None),
            (_, Event::MediaLost) => Step::End(EndReason::Internal, None),
            (state, Event::AudioChanged { from, silent }) => {
                self.notify(Notice::Media { side: from, silent });
                Step::Stay(match state {
                    State::Calling(calling) if from == Side::Pbx => {
                        calling.audio_changed(self, silent, now)
                    }
                    state => state,
                })
            }
            // Nothing travels while a call only rings.
            (state @ State::Offering(_), Event::Measured(_)) => Step::Stay(state),
            (state @ State::Calling(_), Event::Measured(quality))
                if quality.pbx.packets_in == 0 =>
            {
                Step::Stay(state)
            }
            (state, Event::Measured(quality)) => {
                let step = match state {
                    State::Established(established) => established.measured(self, &quality, now),
                    state => Step::Stay(state),
                };
                self.notify(Notice::Quality(quality));
                step
            }
            (
                state,
                Event::DigitHeard {
                    from,
                    digit,
                    duration,
                },
            ) => {
                if from == Side::Pbx {
                    self.notify(Notice::Digit { digit, duration });
                }
                Step::Stay(state)
            }
            (state, Event::DigitsRefused { message }) => {
                self.notify(Notice::Refused {
                    refusal: Refusal::DtmfRefused,
                    message,
                });
                Step::Stay(state)
            }
            (state, Event::TextReceived { text }) => {
                self.notify(Notice::Message(MessageNotice::ReceivedInCall { text }));
                Step::Stay(state)
            }
            (state, Event::TextAnswered(notice)) => {
                self.notify(Notice::Message(notice));
                Step::Stay(state)
            }
            (State::Established(established), Event::Ended { reason }) => {
                established.leg_ended(reason)
            }
            (_, Event::Ended { reason }) => Step::End(reason, None),
            (state, event @ (Event::Replaced { .. } | Event::Referred { .. }))
                if !state.is_established() =>
            {
                self.refuse_transfer(&event);
                Step::Stay(state)
            }
            (state, Event::Redirected { to }) => {
                self.notify(Notice::Redirected { to });
                Step::Stay(state)
            }
            (State::Calling(calling), event) => calling.handle(self, event, now),
            (State::Offering(offering), event) => offering.handle(self, event),
            (State::Confirming(confirming), event) => confirming.handle(self, event),
            (State::Established(established), event) => established.handle(self, event, now),
        };
        self.settle(step);
        self.note_answer(now);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Call::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Calling(calling) => Some(calling.poll_timeout()),
            State::Offering(offering) => Some(offering.ring_deadline),
            State::Established(established) => established.poll_timeout(),
            State::Confirming(_) | State::Ended => None,
        };
        if self.is_ended() {
            return None;
        }
        let of_browser = [self.connect_deadline, self.browser_end.poll_timeout()];
        of_browser.into_iter().chain([own]).flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self
            .connect_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            self.connect_deadline = None;
            self.settle(Step::End(EndReason::IceFailed, None));
            return;
        }
        if let Some(reason) = self.browser_end.handle_timeout(now) {
            self.settle(Step::End(reason, None));
            return;
        }
        let state = std::mem::replace(&mut self.state, State::Ended);
        let step = match state {
            State::Calling(calling) => calling.handle_timeout(self, now),
            State::Offering(offering) if offering.ring_deadline <= now => {
                Step::End(EndReason::NoAnswer, None)
            }
            State::Established(established) => established.handle_timeout(self, now),
            state => Step::Stay(state),
        };
        self.settle(step);
    }

    /// Whether everything is over; no action follows the last [`Action::Finish`].
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The state's name, for logs.
    pub fn state_name(&self) -> &'static str {
        self.state.name()
    }

    fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn notify(&mut self, notice: Notice) {
        self.push(Action::Notify(notice));
    }

    /// A call that is not answered cannot be transferred.
    fn refuse_transfer(&mut self, event: &Event) {
        self.push(match event {
            Event::Replaced { .. } => Action::RefuseReplacingLeg {
                status: Refusal::UnknownCall.sip_status(),
                warning: None,
            },
            _ => Action::ReportTransfer {
                status: Refusal::BadState.sip_status(),
                last: true,
            },
        });
    }

    /// Sends digits by INFO, one each.
    fn send_info(&mut self, digits: &str, duration: Duration) {
        if digits.contains(',') {
            self.notify(Notice::Refused {
                refusal: Refusal::DtmfRefused,
                message: "digits go to this trunk by INFO, without pauses: send what is after a \
                          comma in a message of its own"
                    .to_owned(),
            });
            return;
        }
        for digit in digits.chars() {
            if let Some((content_type, body)) = self.rules.digits.info(digit, duration) {
                self.push(Action::SendInfo { content_type, body });
            }
        }
    }

    /// Keeps the description that the browser is sent, where a client may take the call up without
    /// having received it.
    fn keep_description(&mut self, description: &str) {
        if !self.rules.detach_grace.is_zero() {
            self.description = Some(description.to_owned());
        }
    }

    fn note_answer(&mut self, now: Instant) {
        if self.answered.is_none() && self.state.is_established() {
            self.answered = Some(now);
        }
    }

    /// Points RTP at what the PBX's description says, with the keys that go with it.
    fn point_rtp(&mut self, remote: &sdp::RemoteMedia) {
        self.local.rtp.agree(remote);
        let rtp = remote.address.rtp;
        self.push(Action::SetRemoteRtp {
            rtp,
            rtcp: remote.address.rtcp.unwrap_or(rtp),
            srtp_keys: remote.srtp_keys,
        });
    }

    /// What was negotiated with the PBX holds from now on.
    fn apply_media(&mut self, browser: &jsep::Negotiation, pbx: &offer_answer::Negotiation) {
        if let Some(remote) = pbx.remote() {
            self.point_rtp(remote);
        }
        let joined = bridge::joined(browser.sections(), pbx.sections(), &MediaKind::Audio);
        if let Some((browser, pbx)) = joined {
            self.push(Action::SetFormats {
                browser: Box::new(browser.clone()),
                pbx: Box::new(pbx.clone()),
            });
        }
    }

    /// The browser's description is known: the peer can begin, and has so long.
    fn connect_peer(&mut self, remote: sdp::IceDtlsParameters, now: Instant) {
        self.push(Action::SetRemoteDescription(Box::new(remote)));
        if !self.peer_connected {
            self.connect_deadline = Some(now + self.rules.connect_timeout);
        }
    }

    /// Changes what exists while the PBX has not answered our call.
    fn calling(&mut self, change: impl FnOnce(&mut Calling)) {
        if let State::Calling(calling) = &mut self.state {
            change(calling);
        }
    }

    fn begin(&mut self, state: State) {
        self.state = state;
    }

    fn settle(&mut self, step: Step) {
        match step {
            Step::Stay(state) => self.state = state,
            Step::End(reason, status) => {
                self.state = State::Ended;
                self.connect_deadline = None;
                let warning = self.warning.take();
                self.push(Action::EndPbx { reason, warning });
                self.push(Action::Finish { reason, status });
            }
        }
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Calling(_) => "calling",
            State::Offering(_) => "ringing",
            State::Confirming(_) => "being confirmed",
            State::Established(_) => "established",
            State::Ended => "ended",
        }
    }

    const fn is_established(&self) -> bool {
        matches!(self, State::Established(_))
    }

    /// Whether audio to the PBX can flow.
    fn has_media(&self) -> bool {
        match self {
            State::Calling(calling) => calling.has_media(),
            State::Established(_) => true,
            State::Offering(_) | State::Confirming(_) | State::Ended => false,
        }
    }
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Command::Accept { .. } => "accept",
            Command::Reject { .. } => "reject",
            Command::Trickle { .. } => "candidate",
            Command::SendDigits { .. } => "dtmf",
            Command::Hold { .. } => "hold",
            Command::Transfer { .. } => "transfer",
            Command::SendText { .. } => "message",
            Command::HangUp { .. } => "hangup",
            Command::Attach { .. } => "attach",
            Command::Detach { .. } => "detach",
            Command::Overrun => "overrun",
            Command::ShutDown => "shutdown",
        }
    }
}
