//! The endpoints of a call at its task: what they ask, what they are told, and how they come and go.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::time::Instant;

use super::CallTask;
use crate::call::EndReason;
use crate::call::client_event::ClientEvent;
use crate::call::ids::EndpointId;
use crate::call::location_service::LookUp;
use crate::call::message::{Command, Notice};

impl CallTask {
    /// Takes what a client asks.
    pub(super) async fn take_command(&mut self, command: Command) {
        match &command {
            Command::Attach { endpoint } => return self.attach(*endpoint).await,
            Command::Detach { endpoint, reason } => return self.detach(*endpoint, *reason),
            Command::HangUp { reason: None } => self.catch_up_with_media(),
            Command::Transfer { to } if self.leaves_trunk(to) => return,
            _ => {}
        }
        self.call.handle_command(command, Instant::now());
    }

    /// An endpoint is lost. Those that wait ring before the call hears of it: it rings on.
    fn detach(&mut self, endpoint: EndpointId, reason: EndReason) {
        self.endpoints.detach(endpoint);
        self.ring_waiting();
        let command = Command::Detach { endpoint, reason };
        self.call.handle_command(command, Instant::now());
    }

    /// One more endpoint, which has to be one of the call's user.
    async fn attach(&mut self, id: EndpointId) {
        let endpoint = match self.location_service.look_up(&self.user).await {
            LookUp::Registered(endpoints) => {
                endpoints.into_iter().find(|endpoint| endpoint.id == id)
            }
            LookUp::Unknown | LookUp::Absent => None,
        };
        let Some(endpoint) = endpoint else {
            tracing::warn!(call = self.key.0, endpoint = %id, "endpoint of another user refused");
            return;
        };
        if self.call.rings() {
            self.endpoints.wait(endpoint);
            return self.ring_waiting();
        }
        self.endpoints.attach(endpoint);
        let command = Command::Attach { endpoint: id };
        self.call.handle_command(command, Instant::now());
    }

    fn ring_waiting(&mut self) {
        while self.call.rings()
            && let Some(endpoint) = self.endpoints.ring_next()
        {
            let command = Command::Attach { endpoint };
            self.call.handle_command(command, Instant::now());
        }
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        let event = self.client_event(notice);
        for endpoint in self.endpoints.notify(&event) {
            self.detach(endpoint, EndReason::SignalingLost);
        }
    }

    pub(super) fn tell(&mut self, to: EndpointId, event: ClientEvent) {
        if !self.endpoints.tell(to, event) {
            self.detach(to, EndReason::SignalingLost);
        }
        // Where it left the call to others, one that waits takes its place.
        self.ring_waiting();
    }

    pub(super) fn client_event(&self, notice: Notice) -> ClientEvent {
        let call = self.endpoints.call.clone();
        match notice {
            notice @ Notice::Incoming { .. } => ClientEvent::Begin {
                call,
                handle: self.handle.clone(),
                notice,
            },
            notice => ClientEvent::Notice { call, notice },
        }
    }
}
