//! Who hears of the answer to a request of ours.

use crate::sip::trunk::event::LegId;
use crate::sip::trunk::health::TargetDestination;
use crate::sip::trunk::instant_message::MessageId;
use crate::sip::trunk::registrations::RegistrationId;

/// Who hears of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The leg's first INVITE.
    Invite(LegId),
    /// Its re-INVITE.
    Reinvite(LegId),
    /// Its ACK; no answer comes.
    Acknowledge(LegId),
    /// Its BYE.
    Bye(LegId),
    /// Its INFO.
    Info(LegId),
    /// Its MESSAGE.
    DialogMessage(LegId),
    /// A MESSAGE outside dialogs.
    Message(MessageId),
    /// Its PRACK in the early dialog of that number.
    Prack(LegId, u32),
    /// Its REFER.
    Refer(LegId),
    /// The last NOTIFY of a transfer that its peer asked for.
    Notify(LegId),
    /// Its UPDATE for the session timer.
    Refresh(LegId),
    /// Its UPDATE with an offer.
    Offer(LegId),
    /// The REGISTER of a registration.
    Register(RegistrationId),
    /// None: CANCEL, and BYE of a fork that we do not want.
    None,
    /// The health of a target's destination.
    Probe(TargetDestination),
    /// None any more: an INVITE that failed over to another destination.
    Abandoned,
}

impl Owner {
    /// The leg whose request it is.
    pub(super) const fn leg(self) -> Option<LegId> {
        match self {
            Owner::Invite(leg)
            | Owner::Reinvite(leg)
            | Owner::Acknowledge(leg)
            | Owner::Bye(leg)
            | Owner::Info(leg)
            | Owner::DialogMessage(leg)
            | Owner::Prack(leg, _)
            | Owner::Refer(leg)
            | Owner::Notify(leg)
            | Owner::Refresh(leg)
            | Owner::Offer(leg) => Some(leg),
            Owner::Message(_)
            | Owner::Register(_)
            | Owner::Probe(_)
            | Owner::None
            | Owner::Abandoned => None,
        }
    }
}
