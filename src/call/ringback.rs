//! Who makes the ringing tone before the answer: the PBX by early media, or the client by itself
//! (RFC 3960 section 3.2). After a 180 the client rings unless audio arrives.

use std::time::{Duration, Instant};

use super::message::Notice;

/// How long early media that was announced may take to arrive.
const AUDIO_EXPECTED_WITHIN: Duration = Duration::from_millis(200);

/// What the client was last told of the progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signalled {
    Nothing,
    Ringing,
    EarlyMedia,
}

/// The progress of one call attempt as the client knows it, and as it is.
#[derive(Debug)]
pub(super) struct Ringback {
    signalled: Signalled,
    /// A 180 came.
    has_rung: bool,
    /// Audio has arrived before the answer.
    audio: bool,
    /// Until when the audio of a new description is waited for.
    audio_due: Option<Instant>,
}

impl Ringback {
    /// Nothing has come yet.
    pub(super) const fn new() -> Self {
        Ringback {
            signalled: Signalled::Nothing,
            has_rung: false,
            audio: false,
            audio_due: None,
        }
    }

    /// The call goes to another trunk, which has not answered yet.
    pub(super) fn restart(&mut self) {
        *self = Ringback::new();
    }

    /// Whether a 180 of the present trunk came.
    pub(super) const fn has_rung(&self) -> bool {
        self.has_rung
    }

    /// A provisional response that brings no description, or one that is known.
    pub(super) fn progressed(&mut self, status: u16, now: Instant) -> Option<Notice> {
        if status != 180 {
            return None;
        }
        self.has_rung = true;
        match self.signalled {
            Signalled::Nothing => self.ring(),
            Signalled::EarlyMedia => self.handle_timeout(now),
            Signalled::Ringing => None,
        }
    }

    /// A provisional response with a new description: early media is announced.
    pub(super) fn described(&mut self, status: u16, now: Instant) -> Option<Notice> {
        self.has_rung |= status == 180;
        if self.signalled == Signalled::EarlyMedia {
            return None;
        }
        self.signalled = Signalled::EarlyMedia;
        self.audio_due = (!self.audio).then_some(now + AUDIO_EXPECTED_WITHIN);
        Some(Notice::EarlyMedia)
    }

    /// Audio of the PBX has begun.
    pub(super) fn audio_began(&mut self) -> Option<Notice> {
        self.audio = true;
        self.audio_due = None;
        if self.signalled != Signalled::Ringing {
            return None;
        }
        self.signalled = Signalled::EarlyMedia;
        Some(Notice::EarlyMedia)
    }

    /// No audio of the PBX has come for a while: who has rung rings again, until it comes back.
    pub(super) fn audio_stopped(&mut self, now: Instant) -> Option<Notice> {
        self.audio = false;
        self.audio_due = Some(now);
        let rings = self.has_rung && self.signalled == Signalled::EarlyMedia;
        rings.then(|| self.ring()).flatten()
    }

    /// When [`Ringback::handle_timeout`] may ring.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.audio_due.filter(|_| self.has_rung)
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Notice> {
        if !self.has_rung || self.audio_due.is_none_or(|at| at > now) {
            return None;
        }
        self.ring()
    }

    fn ring(&mut self) -> Option<Notice> {
        self.audio_due = None;
        self.signalled = Signalled::Ringing;
        Some(Notice::Ringing)
    }
}
