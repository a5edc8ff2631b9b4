//! Takes what PBXs begin: calls and messages, one after the other.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::call::Exchange;
use crate::sip;
use crate::supervision::{Supervisor, Task};

/// SIP status of what could not be handled for a fault of ours.
const INTERNAL: u16 = 500;

/// What both intakes work with. A panic on one call or message refuses that one with 500, and the
/// next is taken.
#[derive(Clone)]
pub(super) struct Takers {
    pub(super) supervisor: Supervisor,
    pub(super) exchange: Arc<Exchange>,
    pub(super) sip: sip::Handle,
}

impl Takers {
    /// Takes calls as long as the SIP side offers them.
    pub(super) async fn take_calls(self, mut calls: mpsc::Receiver<sip::Incoming>) {
        while let Some(call) = calls.recv().await {
            let leg = call.leg;
            let exchange = Arc::clone(&self.exchange);
            let work = async move { exchange.receive(call).await };
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
        after_the_end_of_sip().await;
    }

    /// Likewise messages.
    pub(super) async fn take_messages(self, mut messages: mpsc::Receiver<sip::IncomingMessage>) {
        while let Some(message) = messages.recv().await {
            let id = message.id;
            let exchange = Arc::clone(&self.exchange);
            let work = async move { exchange.receive_message(message).await };
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
