//! A trunk that cannot place a call, and the next one that is asked in its place.
//!
//! Each trunk gets a leg of its own, described by its own policy and with keys that no trunk
//! before has seen. The browser keeps the one answer that it has; what it may notice is that it
//! rings later, after an announcement of the trunk that was left.

use std::net::SocketAddr;

use super::Calling;
use crate::call::EndReason;
use crate::call::machine::{Call, Rules, State, Step};
use crate::call::message::Action;
use crate::codec::{AudioFormat, Direction};
use crate::sdp;
use crate::sdp::offer_answer::{Negotiation, OfferIn};

/// One more trunk for a call, and what was drawn for its leg.
#[derive(Clone, Debug)]
pub struct TrunkAttempt {
    /// What calls of this trunk go by.
    pub rules: Rules,
    /// What its keys are made from: no trunk can read what another one carries.
    pub seed: sdp::KeySeed,
    /// Ids of its session description.
    pub session: sdp::SessionIds,
    /// The address of RTP towards it; none: that of the trunk before it.
    pub rtp: Option<SocketAddr>,
}

/// Whether a refusal says that the trunk cannot, and nothing of the called party: another trunk
/// may. Where the called party has rung, only the trunk's own word counts, by which nobody rings there
/// any more: a 408 is nobody's answer then, and behind a broken transport it may ring on.
const fn says_trunk_cannot(status: u16, from_pbx: bool, has_rung: bool) -> bool {
    match status {
        500 | 502 | 503 | 504 => from_pbx || !has_rung,
        408 => !has_rung,
        _ => false,
    }
}

impl Call {
    /// Gives an outgoing call that has just begun further trunks, the first to try first.
    pub fn with_fallback(mut self, attempts: impl IntoIterator<Item = TrunkAttempt>) -> Self {
        self.calling(|calling| calling.ahead = attempts.into_iter().collect());
        self
    }
}

impl Calling {
    /// The trunk refused, or could not be asked: the next one, or the end.
    pub(super) fn refused(
        mut self: Box<Self>,
        call: &mut Call,
        status: u16,
        cause: Option<u16>,
        from_pbx: bool,
    ) -> Step {
        if says_trunk_cannot(status, from_pbx, self.ringback.has_rung())
            && let Some(next) = self.ahead.pop_front()
        {
            return self.go_on(call, next, status);
        }
        Step::End(
            EndReason::from_refusal(status, cause),
            from_pbx.then_some(status),
        )
    }

    fn go_on(mut self: Box<Self>, call: &mut Call, next: TrunkAttempt, status: u16) -> Step {
        self.leave_parties(call);
        let rtp = next.rtp.unwrap_or(call.local.rtp.address);
        call.rules = next.rules.with_rtp_at(rtp);
        call.local.rtp = sdp::LocalMedia::new(rtp, next.seed);
        call.local.pbx_session = next.session;
        self.pbx = self.offer_to_pbx(call);
        if let Err(reason) = self.answer_determined_browser(call) {
            return Step::End(reason, None);
        }
        self.expect_early_media(call);
        let offer = self.written_offer();
        call.push(Action::InviteNext { offer, status });
        Step::Stay(State::Calling(self))
    }

    /// Nobody of the trunk that is left hears the client, or is heard by it, any more.
    fn leave_parties(&mut self, call: &mut Call) {
        let early_dialog = self
            .selected
            .take()
            .and_then(|fork| self.early_dialogs.remove(&fork));
        let format = early_dialog.as_ref().and_then(|it| it.pbx.audio_format());
        if let (Some(browser), Some(format)) = (self.browser.audio_format(), format) {
            let pbx = AudioFormat {
                direction: Direction::Inactive,
                ..format.clone()
            };
            call.push(Action::SetFormats {
                browser: Box::new(browser.clone()),
                pbx: Box::new(pbx),
            });
        }
        self.early_dialogs.clear();
        self.ringback.restart();
    }

    /// What is said to the trunk that is asked: our offer, or nothing where it is to offer.
    pub(super) fn offer_to_pbx(&self, call: &Call) -> Negotiation {
        let mut pbx = Negotiation::new();
        if call.rules.delayed_offer {
            return pbx;
        }
        let mut policy = call.rules.trunk.clone();
        policy.codecs = self.codecs_for_pbx(call);
        let (rtp, session) = (call.local.rtp, call.local.pbx_session);
        let direction = Direction::SendRecv;
        if let Err(error) = pbx.create_offer(OfferIn::Request, rtp, &policy, session, direction) {
            debug_assert!(false, "nothing was said before: {error}");
        }
        pbx
    }
}
