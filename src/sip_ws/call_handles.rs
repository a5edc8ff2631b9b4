//! The connection's face towards call control: the one file that begins calls and commands them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::output::Place;
use crate::call::{
    CallHandle, ClientEvent, Command, EndReason, Endpoint, Notice, detach_from_waiting,
};
use crate::control::{CallControl, CallRequest, Error};

/// What a client event means for the connection.
#[derive(Debug)]
pub(super) enum Told {
    /// A call rings here.
    Ring { call: String, notice: Notice },
    /// More of a call.
    Notice { call: String, notice: Notice },
    /// The connection is to be probed.
    Probe,
    /// Nothing that SIP has words for.
    Nothing,
    /// The gateway stops.
    ShutDown,
}

/// The calls of one connection.
pub(super) struct CallHandles {
    call_control: Arc<CallControl>,
    endpoint: Endpoint,
    remote: SocketAddr,
    handles: HashMap<String, CallHandle>,
}

impl CallHandles {
    pub fn new(call_control: Arc<CallControl>, endpoint: Endpoint, remote: SocketAddr) -> Self {
        CallHandles {
            call_control,
            endpoint,
            remote,
            handles: HashMap::new(),
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Begins a call. An error says why there is none.
    pub async fn place(&mut self, place: Place) -> Result<(), EndReason> {
        let request = CallRequest {
            user: place.user,
            name: place.display_name,
            endpoint: self.endpoint.clone(),
            remote: self.remote,
            call: place.call.clone(),
            to: place.to,
            sdp: place.sdp,
            anonymous: place.anonymous,
            headers: Vec::new(),
        };
        let handle = self.call_control.call(request).await;
        let handle = handle.map_err(|error| match error {
            Error::Ends(reason) => reason,
            _ => EndReason::Internal,
        })?;
        self.handles.insert(place.call, handle);
        Ok(())
    }

    /// Asks something of a call. Where it fails the end of the call is on the way to the client.
    pub async fn command(&mut self, call: &str, command: Command) {
        if let Command::Detach { .. } = command {
            // Nothing more is heard of it.
            if let Some(handle) = self.handles.remove(call) {
                let _ = handle.end(command);
            }
        } else if let Some(handle) = self.handles.get(call) {
            let _ = handle.ask(command).await;
        }
    }

    /// What an event means.
    pub fn take(&mut self, event: ClientEvent) -> Told {
        match event {
            ClientEvent::Begin {
                call,
                handle,
                notice,
            } => {
                self.handles.insert(call.clone(), handle);
                Told::Ring { call, notice }
            }
            ClientEvent::Notice { call, notice } => {
                if matches!(notice, Notice::Ended { .. }) {
                    self.handles.remove(&call);
                }
                Told::Notice { call, notice }
            }
            // No message of a client asks for it yet.
            ClientEvent::Resumed { call, handle, .. } => {
                self.handles.insert(call, handle);
                Told::Nothing
            }
            ClientEvent::Probe => Told::Probe,
            ClientEvent::Message(_) | ClientEvent::Draining { .. } => Told::Nothing,
            ClientEvent::ShutDown => Told::ShutDown,
        }
    }

    /// The connection has gone; `events` are those that still wait for it.
    pub fn leave(&self, events: &mut mpsc::Receiver<ClientEvent>) {
        let endpoint = self.endpoint.id;
        let reason = EndReason::SignalingLost;
        detach_from_waiting(events, endpoint, reason);
        for handle in self.handles.values() {
            let _ = handle.end(Command::Detach { endpoint, reason });
        }
    }
}
