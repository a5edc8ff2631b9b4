//! What a leg knows of transfers (RFC 3515).

use std::time::Instant;

use crate::sip::trunk::event::LegId;

/// What a leg knows of transfers.
#[derive(Debug, Default)]
pub struct Transfers {
    /// Our REFER whose outcome is open.
    pub(super) outgoing: Option<OutgoingRefer>,
    /// The leg whose REFER names this one's far end.
    pub(super) named_by: Option<LegId>,
    /// That REFER was accepted; until when a BYE of the peer means that its far end is given away.
    pub(super) given: Option<Instant>,
    /// Their REFER, whose progress we report.
    pub(super) incoming: Option<IncomingRefer>,
    /// Until when the answer to the last NOTIFY about it is waited for.
    pub(super) notifying: Option<Instant>,
    /// They referred us before in this dialog: NOTIFYs then say which REFER they mean.
    pub(super) referred_before: bool,
}

/// A REFER of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutgoingRefer {
    /// When we give up on its outcome.
    pub(super) until: Instant,
    /// Whose far end it names.
    pub(super) names: Option<LegId>,
    /// The peer has said that it will do it.
    pub(super) accepted: bool,
    /// We have hung up the leg that it names: what the peer was to replace is gone.
    pub(super) void: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct IncomingRefer {
    /// CSeq number of the REFER.
    pub(super) sequence: u32,
    /// They did not want NOTIFYs (RFC 4488).
    pub(super) silent: bool,
    pub(super) until: Instant,
    pub(super) named: bool,
}

impl Transfers {
    /// True while a BYE of the peer means that it has been connected elsewhere, or its far end has:
    /// it does what a REFER of ours asks for and does not wait to tell so (RFC 5589 section 6.1).
    pub fn is_given_away(&self, now: Instant) -> bool {
        self.outgoing
            .is_some_and(|refer| refer.accepted && !refer.void)
            || self.given.is_some_and(|until| now <= until)
    }

    /// The answer to the last NOTIFY is not waited for beyond `until`.
    pub fn hurry(&mut self, until: Instant) {
        self.notifying = self.notifying.map(|at| at.min(until));
    }

    /// True while the peer has not answered our last NOTIFY.
    pub fn is_notifying(&self) -> bool {
        self.notifying.is_some()
    }

    /// When the leg wants to be woken for them.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let incoming = self.incoming.map(|refer| refer.until);
        let outgoing = self.outgoing.map(|refer| refer.until);
        let times = [outgoing, incoming, self.notifying];
        times.into_iter().flatten().min()
    }
}
