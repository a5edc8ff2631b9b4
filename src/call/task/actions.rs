//! What a call's machine wants done: towards its clients, at the media worker, on the SIP leg.

#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::CallTask;
use crate::call::EndReason;
use crate::call::client_event::ClientEvent;
use crate::call::message::{Action, Event, Notice, Side};
use crate::call::message_notice::MessageNotice;
use crate::call::sip_side::{SIP_QUEUE, Stage, refusal, written};
use crate::{media, sip};

impl CallTask {
    /// Carries one action out.
    pub(super) async fn carry_out(&mut self, action: Action) {
        match action {
            Action::Notify(_)
            | Action::Tell { .. }
            | Action::Resume { .. }
            | Action::Select(_)
            | Action::Finish { .. } => self.tell_clients(action),
            Action::SetRemoteDescription(_)
            | Action::AddRemoteCandidate(_)
            | Action::SetRemoteRtp { .. }
            | Action::SetFormats { .. }
            | Action::ExpectEarlyMedia { .. }
            | Action::SendDigits { .. } => self.command_media(action),
            action => self.command_sip(action).await,
        }
    }

    fn tell_clients(&mut self, action: Action) {
        match action {
            Action::Notify(notice) => self.notify(notice),
            Action::Tell { to, notice } => {
                let event = self.client_event(notice);
                self.tell(to, event);
            }
            Action::Resume { endpoint, snapshot } => {
                let (call, handle) = (self.endpoints.call.clone(), self.handle.clone());
                let resumed = ClientEvent::Resumed {
                    call,
                    handle,
                    snapshot,
                };
                self.tell(endpoint, resumed);
            }
            Action::Select(endpoint) => self.endpoints.select(endpoint),
            Action::Finish { reason, status } => self.notify(Notice::Ended { reason, status }),
            _ => {}
        }
    }

    fn command_media(&mut self, action: Action) {
        match action {
            Action::SetRemoteDescription(description) => {
                self.tell_worker(media::Command::SetRemoteDescription(description));
            }
            Action::AddRemoteCandidate(candidate) => {
                self.tell_worker(media::Command::AddRemoteCandidate(candidate));
            }
            Action::SetRemoteRtp {
                rtp,
                rtcp,
                srtp_keys,
            } => {
                self.tell_audio(media::AudioCommand::SetRemoteRtp {
                    rtp,
                    rtcp: Some(rtcp),
                    srtp_keys,
                });
            }
            Action::SetFormats { browser, pbx } | Action::ExpectEarlyMedia { browser, pbx } => {
                self.tell_audio(media::AudioCommand::SetFormats {
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
                self.tell_audio(media::AudioCommand::SendDigits {
                    to,
                    digits,
                    duration,
                });
            }
            _ => {}
        }
    }

    async fn command_sip(&mut self, action: Action) {
        match action {
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
                self.release_leg(row.cause).await;
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
            Action::InviteReferTarget { offer } => self.invite_refer_target(offer).await,
            Action::ReportTransfer { status, last } => self.report_transfer(status, last).await,
            Action::AcceptReplacingLeg { sdp } => self.accept_replacing_leg(sdp).await,
            Action::RefuseReplacingLeg { status, warning } => {
                self.refuse_replacing_leg(status, warning).await
            }
            Action::ReleaseLeg => self.release_leg(16).await,
            Action::AdoptLeg { reason } => self.adopt_leg(reason).await,
            Action::SendInfo { content_type, body } => {
                let info = sip::Command::Info {
                    content_type: content_type.to_owned(),
                    body: Bytes::from(body),
                };
                self.side.command(info).await;
            }
            Action::SendText { id, text } => self.send_text(id, text).await,
            // The others are carried out elsewhere.
            Action::SetRemoteDescription(_)
            | Action::AddRemoteCandidate(_)
            | Action::SetRemoteRtp { .. }
            | Action::SetFormats { .. }
            | Action::ExpectEarlyMedia { .. }
            | Action::SendDigits { .. }
            | Action::Notify(_)
            | Action::Tell { .. }
            | Action::Resume { .. }
            | Action::Select(_)
            | Action::Finish { .. } => {}
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
        let Some(invite) = self.side.next_invite() else {
            return self.happen(not_sent());
        };
        let mut outgoing = invite.outgoing;
        self.trunk.clone_from(&outgoing.trunk);
        self.call.take_leg(&self.trunk, &self.side.call_id);
        outgoing.body = offer.map(Bytes::from).unwrap_or_default();
        let (sender, events) = mpsc::channel(SIP_QUEUE);
        self.side.events = events;
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
        let next = self.side.invites.front();
        let (inband_digits, latching) = next
            .map(|invite| (invite.inband_digits, invite.latching))
            .unwrap_or_default();
        self.tell_audio(media::AudioCommand::ExpectRtp(latching));
        if inband_digits {
            self.tell_audio(media::AudioCommand::DetectDigits);
        }
        let next = self.side.invites.front_mut();
        if let Some(rtp) = next.and_then(|invite| invite.rtp.take()) {
            self.tell_worker(media::Command::AttachRtp(media::StreamId::FIRST_AUDIO, rtp));
        }
        self.invite(offer).await;
    }
}

/// The SIP side did not take a call.
const fn not_sent() -> Event {
    Event::Refused {
        status: EndReason::TrunkUnreachable.ending().sip_status,
        cause: None,
        from_pbx: false,
    }
}
