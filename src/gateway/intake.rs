//! Takes what PBXs begin: calls side by side, messages one after the other.

#![expect(
    clippy::disallowed_methods,
    reason = "a driver: each incoming call is taken by a task of its own"
)]

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::call::EndReason;
use crate::control::CallControl;
use crate::sip;
use crate::supervision::{Supervisor, Task};

/// SIP status of what could not be handled for a fault of ours.
const INTERNAL: u16 = EndReason::Internal.ending().sip_status;

/// Calls that are taken at once: each binds sockets and makes keys, which all processors can share.
/// More wait in the queue of the SIP side.
const AT_ONCE: usize = 64;

/// What both intakes work with. A panic on one call or message refuses that one with 500, and the
/// next is taken.
#[derive(Clone)]
pub(super) struct Takers {
    pub(super) supervisor: Supervisor,
    pub(super) call_control: Arc<CallControl>,
    pub(super) sip: sip::Handle,
}

impl Takers {
    /// Takes calls as long as the SIP side offers them.
    pub(super) async fn take_calls(self, mut calls: mpsc::Receiver<sip::Incoming>) {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        while let Some(call) = calls.recv().await {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                break;
            };
            let takers = self.clone();
            tokio::spawn(async move {
                takers.take_call(call).await;
                drop(place);
            });
        }
        after_the_end_of_sip().await;
    }

    async fn take_call(&self, call: sip::Incoming) {
        let leg = call.leg;
        let call_control = Arc::clone(&self.call_control);
        let work = async move { call_control.receive(call).await };
        if !self.supervisor.attempt(Task::IncomingCalls, work).await {
            let refusal = sip::Command::Reject {
                status: INTERNAL,
                reason: None,
                warning: None,
            };
            // It may have ended meanwhile.
            let _ = self.sip.command(leg, refusal).await;
        }
    }

    /// Takes messages as long as the SIP side offers them, so that one user's come in their order.
    pub(super) async fn take_messages(self, mut messages: mpsc::Receiver<sip::IncomingMessage>) {
        while let Some(message) = messages.recv().await {
            let id = message.id;
            let call_control = Arc::clone(&self.call_control);
            let work = async move { call_control.receive_message(message).await };
            if !self.supervisor.attempt(Task::IncomingMessages, work).await {
                self.sip.answer_message(id, INTERNAL).await;
            }
        }
        after_the_end_of_sip().await;
    }
}

/// Nothing more can come. The fault is that of the SIP side, which is noted after its channels have
/// closed: to end here would put the blame on who reads them.
pub(super) async fn after_the_end_of_sip() {
    std::future::pending().await
}
