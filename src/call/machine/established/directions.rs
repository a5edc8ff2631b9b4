//! Hold as directions (RFC 3264 section 8.4): which way the client wants audio to flow, which way our
//! last description said, which way the PBX's says. All are seen from the gateway.

use crate::codec::Direction;

/// The directions of the audio between us and the PBX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Directions {
    /// What the client wants: `SendOnly` while it holds the PBX, from which nothing is taken then.
    desired: Direction,
    /// What our last description signalled.
    signalled: Direction,
    /// What was signalled before an offer of ours that has no answer yet.
    before_offer: Option<Direction>,
    /// What the PBX's last description allows.
    remote: Direction,
}

impl Directions {
    /// Those of a call that was answered with this direction of the PBX.
    pub(super) const fn new(remote: Direction) -> Self {
        Directions {
            desired: Direction::SendRecv,
            signalled: Direction::SendRecv,
            before_offer: None,
            remote,
        }
    }

    /// The client holds or resumes.
    pub(super) const fn hold(&mut self, on: bool) {
        self.desired = match on {
            true => Direction::SendOnly,
            false => Direction::SendRecv,
        };
    }

    /// Whether the PBX has not been told what the client wants.
    pub(super) fn needs_offer(&self) -> bool {
        self.desired != self.signalled
    }

    /// An offer of ours with the desired direction has gone.
    pub(super) const fn offered(&mut self) {
        self.before_offer = Some(self.signalled);
        self.signalled = self.desired;
    }

    /// Our offer was answered.
    pub(super) const fn offer_answered(&mut self) {
        self.before_offer = None;
    }

    /// Our offer came to nothing: what was signalled before it holds (RFC 3261 section 14.1).
    pub(super) const fn offer_rejected(&mut self) {
        if let Some(before) = self.before_offer.take() {
            self.signalled = before;
        }
    }

    /// The PBX does not take what the client wants: the client has what was agreed on before.
    pub(super) const fn keep_agreed(&mut self) {
        self.offer_rejected();
        self.desired = self.signalled;
    }

    /// The direction for our next description.
    pub(super) const fn desired(&self) -> Direction {
        self.desired
    }

    /// Our answer with the desired direction has gone.
    pub(super) const fn answered(&mut self) {
        self.before_offer = None;
        self.signalled = self.desired;
    }

    /// Another dialog takes the place of the one that knew of a hold: its first exchange signals both
    /// ways.
    pub(super) const fn begin_dialog(&mut self) {
        self.before_offer = None;
        self.signalled = Direction::SendRecv;
    }

    /// Takes the direction of the PBX's description; whether it now holds us, where that has changed.
    pub(super) fn set_remote(&mut self, remote: Direction) -> Option<bool> {
        let held = self.is_held_by_pbx();
        self.remote = remote;
        (self.is_held_by_pbx() != held).then_some(!held)
    }

    /// Whether the client wants the PBX to be held.
    pub(super) const fn is_hold_desired(&self) -> bool {
        !self.desired.receives()
    }

    /// Whether the PBX is held by the client, or does not know yet that it is not any more.
    pub(super) const fn is_pbx_held(&self) -> bool {
        self.is_hold_desired() || !self.signalled.receives()
    }

    /// Whether the PBX holds us: it does not want our audio.
    pub(super) const fn is_held_by_pbx(&self) -> bool {
        !self.remote.sends()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};

    #[test]
    fn hold_is_offered_once_and_resume_too() {
        let mut directions = Directions::new(SendRecv);
        assert!(!directions.needs_offer() && !directions.is_pbx_held());
        for (on, direction) in [(true, SendOnly), (false, SendRecv)] {
            directions.hold(on);
            assert!(directions.needs_offer());
            assert!(directions.is_pbx_held());
            assert_eq!(directions.desired(), direction);
            directions.offered();
            directions.offer_answered();
            assert!(!directions.needs_offer());
            assert_eq!(directions.is_pbx_held(), on);
        }
    }

    #[test]
    fn rejected_offer_restores_what_was_signalled() {
        let mut directions = Directions::new(SendRecv);
        directions.hold(true);
        directions.offered();
        directions.offer_rejected();
        assert!(directions.needs_offer(), "it is offered again");
        directions.offered();
        directions.hold(false);
        directions.offer_rejected();
        assert!(!directions.needs_offer(), "the PBX never knew of the hold");
        assert!(!directions.is_pbx_held());
    }

    #[test]
    fn refused_hold_and_refused_resume_keep_the_agreed_direction() {
        let mut directions = Directions::new(SendRecv);
        directions.hold(true);
        directions.offered();
        directions.keep_agreed();
        assert!(!directions.is_pbx_held() && !directions.needs_offer());
        directions.hold(true);
        directions.offered();
        directions.offer_answered();
        directions.hold(false);
        directions.offered();
        directions.keep_agreed();
        assert!(directions.is_pbx_held() && !directions.needs_offer());
    }

    #[test]
    fn answer_signals_the_desired_direction() {
        let mut directions = Directions::new(SendRecv);
        directions.hold(true);
        assert_eq!(directions.desired(), SendOnly);
        directions.answered();
        assert!(!directions.needs_offer() && directions.is_pbx_held());
    }

    #[test]
    fn pbx_hold_is_told_once_for_every_direction_without_our_audio() {
        let mut directions = Directions::new(SendRecv);
        for (remote, told) in [
            (RecvOnly, Some(true)),
            (Inactive, None),
            (SendOnly, Some(false)),
            (SendRecv, None),
            (Inactive, Some(true)),
            (SendRecv, Some(false)),
        ] {
            assert_eq!(directions.set_remote(remote), told, "{remote:?}");
            assert!(!directions.is_pbx_held());
        }
        assert!(Directions::new(Inactive).is_held_by_pbx());
    }

    #[test]
    fn new_dialog_is_told_of_the_hold() {
        let mut directions = Directions::new(SendRecv);
        directions.hold(true);
        directions.offered();
        directions.begin_dialog();
        assert!(directions.needs_offer());
        assert_eq!(directions.desired(), SendOnly);
        directions.offered();
        directions.offer_rejected();
        assert!(directions.needs_offer());
    }
}
