//! One call's task: the only owner of its [`Call`]. Takes events from the page, the SIP leg and
//! the media worker to the machine, and carries its actions out.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

mod name_lookup;
mod transfer;

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use name_lookup::{LookingUp, looked_up};
use transfer::{SecondLeg, second_event};

use super::EndReason;
use super::client_event::ClientEvent;
use super::endpoints::Endpoints;
use super::handle::CallHandle;
use super::inbox::Inbox;
use super::leg::{PeerCommand, PeerEvent, PeerLeg};
use super::message::{Action, Command, Event, Notice, Side};
use super::message_notice::MessageNotice;
use super::open_calls::OpenCall;
use super::recorded_call::RecordedCall;
use super::sip_side::{SIP_QUEUE, SipSide, Stage, refusal, written};
use super::translate;
use crate::media::{self, CallKey, RtpSockets, WorkerHandle};
use crate::sip;

/// All that can wake a call's task.
enum Stimulus {
    Asked(Command),
    Sip(sip::Event),
    Second(sip::Event),
    /// The names in the description of an event are looked up; of the second leg or the first.
    LookedUp(bool, Option<sip::Event>),
    Media(Box<media::MediaEvent<PeerEvent>>),
    MediaGone,
    Time,
}

/// Everything that one call owns.
pub(super) struct CallTask {
    pub(super) key: CallKey,
    pub(super) call: RecordedCall,
    pub(super) handle: CallHandle,
    pub(super) endpoints: Endpoints,
    pub(super) side: SipSide,
    pub(super) worker: WorkerHandle<PeerLeg>,
    pub(super) commands: Inbox,
    pub(super) sip_events: mpsc::Receiver<sip::Event>,
    /// The other leg of a transfer.
    pub(super) second: Option<SecondLeg>,
    /// An event whose description waits for addresses.
    pub(super) looking_up: Option<LookingUp>,
    /// Whom the PBX wants us to call.
    pub(super) referral: Option<Box<sip::Referral>>,
    pub(super) media_events: mpsc::Receiver<media::MediaEvent<PeerEvent>>,
    pub(super) stop: watch::Receiver<bool>,
    /// Counted as open until the task ends.
    pub(super) _open: OpenCall,
    pub(super) trunk: String,
    pub(super) user: String,
}

impl CallTask {
    /// Runs the call to its end.
    pub(super) async fn run(mut self, rtp: RtpSockets) {
        self.tell_worker(media::Command::AttachRtp(rtp));
        self.act().await;
        self.call.write_start();
        let mut lost = EndReason::SignalingLost;
        while !self.call.is_ended() {
            match self.next().await {
                Stimulus::Asked(command) => {
                    if let Command::Detach { endpoint, reason } = command {
                        lost = reason;
                        self.endpoints.lose(endpoint);
                    }
                    if matches!(command, Command::HangUp { reason: None }) {
                        self.catch_up_with_media();
                    }
                    let refused = self.is_of_lost_page(&command)
                        || self.leaves_to_others(&command)
                        || matches!(&command, Command::Transfer { to } if self.leaves_trunk(to));
                    if !refused {
                        self.call.handle_command(command, Instant::now());
                    }
                }
                Stimulus::Sip(event) => {
                    if let Some(event) = self.look_up(event, false) {
                        self.take_sip(event).await;
                    }
                }
                Stimulus::Second(event) => {
                    if let Some(event) = self.look_up(event, true) {
                        self.take_second(event);
                    }
                }
                Stimulus::LookedUp(false, Some(event)) => self.take_sip(event).await,
                Stimulus::LookedUp(true, Some(event)) => self.take_second(event),
                Stimulus::LookedUp(_, None) => {}
                Stimulus::Media(event) => self.take_media(*event),
                Stimulus::MediaGone => self.call.handle_event(Event::MediaLost, Instant::now()),
                Stimulus::Time => self.call.handle_timeout(Instant::now()),
            }
            self.act().await;
            if self.endpoints.is_empty() && !self.call.is_ended() {
                let command = Command::LoseSignaling { reason: lost };
                self.call.handle_command(command, Instant::now());
                self.act().await;
            }
        }
        self.close_media().await;
        self.call.write_end();
    }

    /// The loss of a page may overtake what it said before.
    fn is_of_lost_page(&self, command: &Command) -> bool {
        let (Command::Accept { endpoint, .. } | Command::Reject { endpoint, .. }) = command else {
            return false;
        };
        !self.endpoints.has(*endpoint)
    }

    /// Waits for whatever comes first.
    async fn next(&mut self) -> Stimulus {
        let deadline = self.call.poll_timeout();
        // The events of a leg are taken in their order.
        let waits = self.looking_up.is_some();
        tokio::select! {
            command = self.commands.next() => Stimulus::Asked(command),
            (second, event) = looked_up(&mut self.looking_up) => Stimulus::LookedUp(second, event),
            Some(event) = self.sip_events.recv(), if !waits => Stimulus::Sip(event),
            event = second_event(&mut self.second), if !waits => Stimulus::Second(event),
            event = self.media_events.recv() => {
                event.map_or(Stimulus::MediaGone, |event| Stimulus::Media(Box::new(event)))
            },
            () = until(deadline) => Stimulus::Time,
            _ = self.stop.wait_for(|stop| *stop) => Stimulus::Asked(Command::ShutDown),
        }
    }

    /// Takes the media events that wait: whether the peer was connected before the page hung up
    /// decides the reason of the end.
    fn catch_up_with_media(&mut self) {
        for _ in 0..self.media_events.len() {
            let Ok(event) = self.media_events.try_recv() else {
                return;
            };
            self.take_media(event);
        }
    }

    async fn take_sip(&mut self, event: sip::Event) {
        self.side.follow(&event);
        self.handle.set_dialog(self.side.dialog());
        match event {
            sip::Event::PeerAddress { ip } => self.tell_worker(media::Command::SetRtpPeer(ip)),
            sip::Event::Referred(referral) => self.take_referral(referral),
            sip::Event::Replaced {
                by,
                from,
                call_id,
                body,
            } => self.take_replacement(by, from, call_id, body).await,
            event => {
                if let Some(event) = translate::from_sip(event) {
                    self.happen(event);
                }
            }
        }
    }

    fn happen(&mut self, event: Event) {
        self.call.handle_event(event, Instant::now());
    }

    fn take_media(&mut self, event: media::MediaEvent<PeerEvent>) {
        if let Some(event) = translate::transport_of(&event) {
            self.happen(Event::Transport(event));
        }
        if let media::MediaEvent::Closed { reason, statistics } = &event {
            tracing::debug!(call = self.key.0, %reason, ?statistics, "media closed");
        }
        if let Some(event) = translate::from_media(event) {
            self.happen(event);
        }
    }

    async fn act(&mut self) {
        while let Some(action) = self.call.poll_action(Instant::now()) {
            self.carry_out(action).await;
        }
    }

    async fn carry_out(&mut self, action: Action) {
        match action {
            Action::SetRemoteDescription(description) => {
                self.tell_worker(media::Command::Leg(PeerCommand::SetRemote(description)));
            }
            Action::AddRemoteCandidate(candidate) => {
                self.tell_worker(media::Command::Leg(PeerCommand::AddRemoteCandidate(
                    candidate,
                )));
            }
            Action::Invite { offer } => self.invite(offer).await,
            Action::InviteNext { offer, .. } => self.invite_next(offer).await,
            Action::Progress { status, sdp } => {
                let body = sdp.map(Bytes::from);
                self.side
                    .command(sip::Command::Progress { status, body })
                    .await;
            }
            Action::AnswerProgress { fork, answer } => {
                let body = Bytes::from(answer);
                self.side
                    .command(sip::Command::AnswerProgress { fork, body })
                    .await;
            }
            Action::Confirm { answer } => {
                let body = Bytes::from(answer);
                self.side.command(sip::Command::Confirm { body }).await;
            }
            Action::Accept { sdp } => {
                self.side
                    .command(sip::Command::Accept {
                        body: Bytes::from(sdp),
                    })
                    .await;
                self.side.become_dialog();
                self.handle.set_dialog(self.side.dialog());
            }
            Action::EndPbx { reason, warning } => {
                let row = reason.ending();
                let command = match self.side.stage {
                    Stage::Invited(_) => refusal(reason, warning),
                    _ => sip::Command::Hangup {
                        cause: Some(row.cause),
                    },
                };
                self.side.command(command).await;
                self.side.stage = Stage::Gone;
                self.drop_second(row.cause).await;
            }
            Action::Reoffer { offer } => {
                self.side
                    .command(sip::Command::Reinvite {
                        body: Bytes::from(offer),
                    })
                    .await;
            }
            Action::AnswerReoffer { answer } => {
                self.side
                    .command(sip::Command::AnswerReinvite {
                        body: Bytes::from(answer),
                    })
                    .await;
            }
            Action::RefuseReoffer { status, warning } => {
                let warning = warning.map(written);
                self.side
                    .command(sip::Command::RefuseReinvite { status, warning })
                    .await;
            }
            Action::Refer { to } => self.refer(to).await,
            Action::InviteInstead { offer } => self.invite_instead(offer).await,
            Action::ReportTransfer { status, last } => self.report_transfer(status, last).await,
            Action::AcceptNewLeg { sdp } => self.accept_new_leg(sdp).await,
            Action::RefuseNewLeg { status, warning } => self.refuse_new_leg(status, warning).await,
            Action::DropNewLeg => self.drop_second(16).await,
            Action::TakeNewLeg { reason } => self.take_new_leg(reason).await,
            Action::SetRemoteRtp {
                rtp,
                rtcp,
                srtp_keys,
            } => {
                self.tell_worker(media::Command::SetRemoteRtp {
                    rtp,
                    rtcp: Some(rtcp),
                    srtp_keys,
                });
            }
            Action::SetFormats { browser, pbx } | Action::ExpectEarlyMedia { browser, pbx } => {
                self.tell_worker(media::Command::SetFormats {
                    browser: *browser,
                    pbx: *pbx,
                });
            }
            Action::SendDigits {
                to,
                digits,
                duration,
            } => {
                let to = match to {
                    Side::Browser => media::Side::Browser,
                    Side::Pbx => media::Side::Pbx,
                };
                self.tell_worker(media::Command::SendDigits {
                    to,
                    digits,
                    duration,
                });
            }
            Action::SendInfo { content_type, body } => {
                let info = sip::Command::Info {
                    content_type: content_type.to_owned(),
                    body: Bytes::from(body),
                };
                self.side.command(info).await;
            }
            Action::SendText { id, text } => self.send_text(id, text).await,
            Action::Notify(notice) => self.notify(notice),
            Action::Select(endpoint) => self.endpoints.keep(endpoint),
            Action::Finish { reason, status } => self.notify(Notice::Ended { reason, status }),
        }
    }

    async fn send_text(&mut self, id: Option<String>, text: String) {
        let reference = id.clone();
        let command = sip::Command::Message { reference, text };
        if let Err(error) = self.side.try_command(command).await {
            let notice = MessageNotice::of_error(id, &error);
            self.call
                .handle_event(Event::TextAnswered(notice), Instant::now());
        }
    }

    /// Calls by the trunk whose turn it is.
    async fn invite(&mut self, offer: Option<String>) {
        let Some(placement) = self.side.next_placement() else {
            return self.happen(not_sent());
        };
        let mut outgoing = placement.outgoing;
        self.trunk.clone_from(&outgoing.trunk);
        self.call.take_leg(&self.trunk, &self.side.call_id);
        outgoing.body = offer.map(Bytes::from).unwrap_or_default();
        let (sender, events) = mpsc::channel(SIP_QUEUE);
        self.sip_events = events;
        match self.side.sip.invite(outgoing, sender).await {
            Ok(leg) => self.side.stage = Stage::Inviting(leg),
            Err(error) => {
                tracing::warn!(call = self.key.0, trunk = %self.trunk, %error, "call to the trunk failed");
                self.side.stage = Stage::Gone;
                self.happen(not_sent());
            }
        }
    }

    /// The trunk could not place the call: on to the next one.
    async fn invite_next(&mut self, offer: Option<String>) {
        let next = self.side.ahead.front();
        let (inband_digits, latching) = next
            .map(|placement| (placement.inband_digits, placement.latching))
            .unwrap_or_default();
        self.tell_worker(media::Command::ExpectRtp(latching));
        if inband_digits {
            self.tell_worker(media::Command::DetectDigits);
        }
        let next = self.side.ahead.front_mut();
        if let Some(rtp) = next.and_then(|placement| placement.rtp.take()) {
            self.tell_worker(media::Command::AttachRtp(rtp));
        }
        self.invite(offer).await;
    }

    fn notify(&mut self, notice: Notice) {
        let call = self.endpoints.call.clone();
        let event = match notice {
            notice @ Notice::Incoming { .. } => ClientEvent::Begin {
                call,
                handle: self.handle.clone(),
                notice,
            },
            notice => ClientEvent::Notice { call, notice },
        };
        self.endpoints.tell(&event);
    }

    /// Whether a page that is busy leaves the call to other pages that ring.
    fn leaves_to_others(&mut self, command: &Command) -> bool {
        let Command::Reject {
            endpoint,
            reason: EndReason::Busy,
        } = *command
        else {
            return false;
        };
        if self.endpoints.has_only(endpoint) {
            return false;
        }
        self.endpoints.dismiss(endpoint, EndReason::Busy);
        true
    }

    /// Lets the worker go and waits for its last count, which the record wants.
    async fn close_media(&mut self) {
        self.tell_worker(media::Command::Close);
        let last = async {
            while let Some(event) = self.media_events.recv().await {
                if let media::MediaEvent::Closed { statistics, .. } = event {
                    return Some(statistics);
                }
            }
            None
        };
        if let Ok(Some(statistics)) = tokio::time::timeout(LAST_COUNT, last).await {
            self.call.take_last_count(translate::quality(&statistics));
        }
    }

    fn tell_worker(&mut self, command: media::Command<PeerCommand>) {
        if let Err(error) = self.worker.command(self.key, command) {
            tracing::error!(call = self.key.0, %error, "media worker does not take a command");
            self.call.handle_event(Event::MediaLost, Instant::now());
        }
    }
}

/// The SIP side did not take a call.
const fn not_sent() -> Event {
    Event::Refused {
        status: 503,
        cause: None,
        from_pbx: false,
    }
}

/// Sleeps until `deadline`; for ever where there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// How long a worker may take for the last count of a call.
const LAST_COUNT: Duration = Duration::from_secs(1);
