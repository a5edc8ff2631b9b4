//! What stands behind the routes of the HTTP listener, and the limits at the door.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::attempts::SignInAttempts;
use super::json::{IceServer, Number};
use super::occupancy::{Occupancy, Place};
use super::refusals::Refusals;
use super::sign_in::SignIn;
use crate::call::LocationService;
use crate::control::CallControl;

/// How much the door lets in.
#[derive(Clone, Debug)]
pub struct DoorLimits {
    /// Open sockets.
    pub sockets: usize,
    /// Open sockets of one address.
    pub sockets_per_address: usize,
    /// Calls that one socket makes.
    pub calls_per_connection: usize,
    /// Until a socket that says nothing is closed.
    pub idle: Duration,
    /// Until a socket must have said hello.
    pub hello: Duration,
}

/// What stands behind the routes.
pub struct Door {
    /// Where calls begin.
    pub call_control: Arc<CallControl>,
    /// Who is signed in.
    pub location_service: Arc<dyn LocationService>,
    /// Who may.
    pub sign_in: SignIn,
    /// Counts who tried to.
    pub attempts: SignInAttempts,
    /// For clients.
    pub ice_servers: Vec<IceServer>,
    /// The built-in numbers.
    pub numbers: Vec<Number>,
    /// Limits.
    pub limits: DoorLimits,
    /// Logs those that are refused.
    pub refusals: Refusals,
    /// Origins that may open `/rtc`, besides the page's own.
    pub allowed_origins: Vec<String>,
    /// Names that the gateway answers to, besides addresses and loopback names; `*`: any.
    pub host_names: Vec<String>,
    /// Proxies whose word on the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Writes the metrics.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Says whether the SIP side is well, for `/health`.
    pub health: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Zero of the clock by which connections were last heard.
    pub started: tokio::time::Instant,
    /// Open sockets by address.
    pub open: Arc<OpenSockets>,
}

/// Counts sockets, in all and by address.
#[derive(Debug, Default)]
pub struct OpenSockets {
    occupancy: Arc<Occupancy>,
    next: AtomicU64,
}

/// One counted socket.
#[derive(Debug)]
pub struct Admitted {
    _place: Place,
    /// Unique in the process.
    pub(crate) number: u64,
}

impl OpenSockets {
    /// `of_one` is the limit of one address, none for a proxy that tells no client.
    pub(super) fn admit(
        &self,
        address: IpAddr,
        most: usize,
        of_one: Option<usize>,
    ) -> Option<Admitted> {
        let place = self.occupancy.admit(address, most, of_one).ok()?;
        metrics::gauge!("trunkline_sockets_open").increment(1);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some(Admitted {
            _place: place,
            number,
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        metrics::gauge!("trunkline_sockets_open").decrement(1);
    }
}
