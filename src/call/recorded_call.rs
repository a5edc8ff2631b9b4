//! A call with its record: the one place through which its commands, events and actions (notices
//! among them) pass on their way, and where its log lines are written.

use std::time::{Duration, Instant};

use super::machine::Call;
use super::message::{Action, Command, Event, Quality};
use super::record::CallRecord;
use super::record_writer;

/// One call and what is known of it.
pub(super) struct RecordedCall {
    call: Call,
    record: CallRecord,
    began: Instant,
}

impl RecordedCall {
    pub(super) fn new(call: Call, record: CallRecord, began: Instant) -> Self {
        RecordedCall {
            call,
            record,
            began,
        }
    }

    /// What a client asks.
    pub(super) fn handle_command(&mut self, command: Command, now: Instant) {
        if self.call.is_of_other_endpoint(&command) {
            return;
        }
        self.record.take_command(&command, self.since_begin(now));
        self.call.handle_command(command, now);
    }

    /// What happened.
    pub(super) fn handle_event(&mut self, event: Event, now: Instant) {
        let at = self.since_begin(now);
        self.record.take_event(&event, at);
        record_writer::write_event(&self.record, &event, at);
        self.call.handle_event(event, now);
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.call.handle_timeout(now);
    }

    /// The next thing to do.
    pub(super) fn poll_action(&mut self, now: Instant) -> Option<Action> {
        let action = self.call.poll_action()?;
        self.record.take_action(&action, self.since_begin(now));
        record_writer::write_action(&self.record, &action);
        Some(action)
    }

    /// When [`RecordedCall::handle_timeout`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.call.poll_timeout()
    }

    /// Whether the call is offered to endpoints that ring.
    pub(super) fn rings(&self) -> bool {
        self.call.rings()
    }

    /// Whether everything is over.
    pub(super) fn is_ended(&self) -> bool {
        self.call.is_ended()
    }

    /// The leg to the PBX is this one from now on.
    pub(super) fn take_leg(&mut self, trunk: &str, sip_call_id: &str) {
        if let Some(failover) = self.record.take_leg(trunk, sip_call_id) {
            record_writer::write_failover(&self.record, &failover);
        }
    }

    /// Another leg of the same trunk took the place of the first (RFC 3891).
    pub(super) fn replace_leg(&mut self, sip_call_id: &str) {
        sip_call_id.clone_into(&mut self.record.names.sip_call_id);
        record_writer::write_replaced(&self.record);
    }

    /// The figures at the very end.
    pub(super) fn take_last_count(&mut self, quality: Quality) {
        self.record.quality = Some(quality);
    }

    /// Writes the line of the begin.
    pub(super) fn write_start(&self) {
        record_writer::write_start(&self.record);
    }

    /// Writes the line of the end, and the metrics.
    pub(super) fn write_end(&self) {
        record_writer::write_end(&self.record);
    }

    fn since_begin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}
