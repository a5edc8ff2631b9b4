//! The second SIP leg of a call in transfer: how it begins, how it takes over, how it ends.

#![expect(clippy::disallowed_methods, reason = "a driver: draws Call-IDs")]

use bytes::Bytes;
use tokio::sync::mpsc;

use super::CallTask;
use crate::call::EndReason;
use crate::call::message::{Event, Notice, TransferTarget};
use crate::call::refusal::Refusal;
use crate::call::sip_side::{SIP_QUEUE, SipSide, Stage, written};
use crate::call::translate;
use crate::{media, sdp, sip};

/// What a transfer needs besides the leg that the call has.
#[derive(Default)]
pub(super) struct TransferLegs {
    /// The other leg.
    second: Option<TransferLeg>,
    /// Whom the PBX wants us to call.
    referral: Option<Box<sip::Referral>>,
}

/// A second leg: one that shall take over, or one that was taken over from.
struct TransferLeg {
    side: SipSide,
    /// Taken over from: only its end is awaited.
    retiring: bool,
}

/// The next event of a second leg; never where there is none.
pub(super) async fn transfer_leg_event(legs: &mut TransferLegs) -> sip::Event {
    if let Some(leg) = &mut legs.second
        && let Some(event) = leg.side.events.recv().await
    {
        return event;
    }
    std::future::pending().await
}

impl CallTask {
    /// What happened on the second leg.
    pub(super) fn take_transfer_leg(&mut self, event: sip::Event) {
        let Some(second) = &mut self.transfer.second else {
            return;
        };
        let last = event.is_final();
        second.side.follow(&event);
        let news = !second.retiring;
        if last {
            self.transfer.second = None;
        }
        if news && let Some(event) = translate::from_sip(event) {
            let event = match event {
                // Before it took over its end is a refusal.
                Event::Cancelled | Event::Ended { .. } => Event::Refused {
                    status: EndReason::Cancelled.ending().sip_status,
                    cause: None,
                    from_pbx: true,
                },
                event => event,
            };
            self.happen(Event::TransferLeg(Box::new(event)));
        }
    }

    /// The PBX wants us to call somebody else.
    pub(super) fn take_referral(&mut self, referral: Box<sip::Referral>) {
        let to = referral.user.clone();
        let attended = referral.replaces.is_some();
        self.transfer.referral = Some(referral);
        self.happen(Event::Referred { to, attended });
    }

    /// Another leg offers to take the call over.
    pub(super) async fn take_replacement(
        &mut self,
        by: sip::LegId,
        from: String,
        call_id: String,
        body: Option<Bytes>,
    ) {
        let (sender, events) = mpsc::channel(SIP_QUEUE);
        let sip = self.side.sip.clone();
        sip.attach(by, sender).await;
        let side = SipSide::incoming(sip, by, call_id, self.side.names.clone(), events);
        if self
            .transfer
            .second
            .as_ref()
            .is_some_and(|second| !second.retiring)
        {
            side.command(sip::Command::Reject {
                status: Refusal::BadState.sip_status(),
                reason: None,
                warning: None,
            })
            .await;
            return;
        }
        self.transfer.second = Some(TransferLeg {
            side,
            retiring: false,
        });
        let sdp = body.map(|body| String::from_utf8_lossy(&body).into_owned());
        self.happen(Event::Replaced { from, sdp });
    }

    /// Calls whom the PBX named, through the same trunk.
    pub(super) async fn invite_refer_target(&mut self, offer: String) {
        let Some(referral) = self.transfer.referral.take() else {
            return;
        };
        let mut headers = Vec::new();
        if let Some(replaces) = referral.replaces {
            headers.push(("Replaces".to_owned(), replaces));
            headers.push(("Require".to_owned(), "replaces".to_owned()));
        }
        if let Some(by) = referral.referred_by {
            headers.push(("Referred-By".to_owned(), by));
        }
        let names = self.side.names.clone();
        let call_id = format!("{:032x}", rand::random::<u128>());
        let outgoing = sip::Outgoing {
            trunk: self.trunk.clone(),
            to_user: referral.user,
            uri: Some(referral.uri),
            from_user: names.user.clone(),
            from_name: names.name.clone(),
            anonymous: names.anonymous,
            body: Bytes::from(offer),
            headers,
            call_id: Some(call_id.clone()),
            // Who has a line of its own goes on under it.
            account: Some(self.user.clone()),
            alternative: false,
        };
        let (sender, events) = mpsc::channel(SIP_QUEUE);
        let sip = self.side.sip.clone();
        match sip.invite(outgoing, sender).await {
            Ok(leg) => {
                self.transfer.second = Some(TransferLeg {
                    side: SipSide::inviting(sip, leg, call_id, names, events),
                    retiring: false,
                });
            }
            Err(error) => {
                tracing::warn!(call = self.key.0, %error, "call of a transfer failed");
                self.happen(Event::TransferLeg(Box::new(Event::Refused {
                    status: EndReason::TrunkUnreachable.ending().sip_status,
                    cause: None,
                    from_pbx: false,
                })));
            }
        }
    }

    /// Tells the PBX how the call that it asked for goes.
    pub(super) async fn report_transfer(&mut self, status: u16, last: bool) {
        self.side
            .command(sip::Command::ReportReferral { status, last })
            .await;
    }

    /// Asks the PBX to connect the other side elsewhere.
    pub(super) async fn refer(&mut self, to: TransferTarget) {
        let (to_user, replaces) = match to {
            TransferTarget::Number { number, .. } => (number, None),
            TransferTarget::Dialog(dialog) => (String::new(), Some(sip::LegId(dialog.0))),
        };
        let command = sip::Command::Refer { to_user, replaces };
        let asked = match self.side.leg() {
            Some(leg) => self.side.sip.command(leg, command).await.is_ok(),
            None => false,
        };
        if !asked {
            self.happen(Event::TransferTold {
                status: Refusal::UnknownCall.sip_status(),
                last: true,
            });
        }
    }

    /// A client may send its call on within the call's own trunk only.
    pub(super) fn leaves_trunk(&mut self, to: &TransferTarget) -> bool {
        let elsewhere =
            matches!(to, TransferTarget::Number { trunks, .. } if !trunks.contains(&self.trunk));
        if elsewhere {
            self.notify(Notice::Refused {
                refusal: Refusal::NotHere,
                message: "this number is reached through another trunk than the call".to_owned(),
            });
        }
        elsewhere
    }

    pub(super) async fn accept_replacing_leg(&mut self, sdp: String) {
        if let Some(second) = &mut self.transfer.second {
            let body = Bytes::from(sdp);
            second.side.command(sip::Command::Accept { body }).await;
            second.side.become_dialog();
        }
    }

    pub(super) async fn refuse_replacing_leg(
        &mut self,
        status: u16,
        warning: Option<sdp::Warning>,
    ) {
        if let Some(second) = self.transfer.second.take() {
            let command = sip::Command::Reject {
                status,
                reason: None,
                warning: warning.map(written),
            };
            second.side.command(command).await;
        }
    }

    /// Ends the second leg, whichever it is.
    pub(super) async fn release_leg(&mut self, cause: u16) {
        if let Some(second) = &mut self.transfer.second
            && !second.retiring
        {
            let cause = Some(cause);
            second.side.command(sip::Command::Hangup { cause }).await;
            second.retiring = true;
        }
    }

    /// The second leg is the call from now on; the first one ends.
    pub(super) async fn adopt_leg(&mut self, reason: EndReason) {
        let Some(second) = &mut self.transfer.second else {
            return;
        };
        std::mem::swap(&mut self.side, &mut second.side);
        let peer = self.side.peer;
        self.handle.set_dialog(self.side.dialog());
        second.retiring = true;
        let is_gone = matches!(second.side.stage, Stage::Gone);
        if is_gone {
            self.transfer.second = None;
        }
        if let Some(peer) = peer {
            self.tell_worker(media::Command::SetRtpPeer(peer));
        }
        let Some(second) = &mut self.transfer.second else {
            return;
        };
        let cause = Some(reason.ending().cause);
        second.side.command(sip::Command::Hangup { cause }).await;
        self.call.replace_leg(&self.side.call_id);
    }
}
