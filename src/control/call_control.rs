//! What call control works with, how many calls there are, and whether more may begin.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::assembly::Assembly;
use super::ringing_refusals::RingingRefusals;
use super::routing::Routes;
use super::rtp_addresses::RtpAddresses;
use super::trunk_rules::TrunkRules;
use crate::call::{EndReason, IncomingLimits, LocationService, OpenCall, OpenCalls};
use crate::media::WorkerHandle;
use crate::supervision::Supervisor;
use crate::{peer, sip};

/// Incoming calls that may wait for addresses of names; beyond it the names count as unknown.
const MOST_LOOK_UPS: usize = 256;

/// What call control works with; the gateway puts it together.
pub struct Resources {
    /// The SIP user agent.
    pub sip: sip::Handle,
    /// The media workers, each with the peer configuration of its own address.
    pub workers: Vec<(WorkerHandle, Arc<peer::Config>)>,
    /// Addresses and ports of RTP towards PBXs.
    pub rtp: RtpAddresses,
    /// Where the endpoints of users are found.
    pub location_service: Arc<dyn LocationService>,
    /// Where calls go.
    pub routes: Routes,
    /// By name.
    pub trunks: HashMap<String, TrunkRules>,
    /// Calls at once.
    pub max_calls: usize,
    /// Incoming calls of one endpoint.
    pub incoming_limits: IncomingLimits,
    /// Counts calls whose task panics.
    pub supervisor: Supervisor,
}

/// Begins calls and knows how many there are.
pub struct CallControl {
    pub(super) sip: sip::Handle,
    pub(super) assembly: Assembly,
    pub(super) location_service: Arc<dyn LocationService>,
    pub(super) routes: Routes,
    trunks: HashMap<String, TrunkRules>,
    pub(super) incoming_limits: IncomingLimits,
    pub(super) ringing_refusals: RingingRefusals,
    /// Places for calls whose description waits for addresses of names.
    pub(super) look_ups: Arc<Semaphore>,
    max_calls: usize,
    open: OpenCalls,
    draining: AtomicBool,
}

impl CallControl {
    /// Call control without calls.
    pub fn new(resources: Resources) -> Self {
        let location_service = Arc::clone(&resources.location_service);
        CallControl {
            sip: resources.sip.clone(),
            assembly: Assembly::new(
                resources.sip,
                resources.workers,
                resources.rtp,
                resources.location_service,
                resources.supervisor,
            ),
            location_service,
            routes: resources.routes,
            trunks: resources.trunks,
            incoming_limits: resources.incoming_limits,
            ringing_refusals: RingingRefusals::default(),
            look_ups: Arc::new(Semaphore::new(MOST_LOOK_UPS)),
            max_calls: resources.max_calls,
            open: OpenCalls::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// Calls that are open now.
    pub fn open_calls(&self) -> usize {
        self.open.count()
    }

    /// Takes no new calls any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether no new calls are taken.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends all calls.
    pub fn stop(&self) {
        self.drain();
        self.assembly.stop_calls();
    }

    /// Waits until the last call has ended, or `deadline` has passed.
    pub async fn wait_until_empty(&self, deadline: Duration) -> bool {
        let until = tokio::time::Instant::now() + deadline;
        while self.open_calls() > 0 {
            if tokio::time::Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }

    /// A place for one more call.
    pub(super) fn admit(&self) -> Result<OpenCall, EndReason> {
        if self.is_draining() {
            return Err(EndReason::Shutdown);
        }
        self.open.admit(self.max_calls).ok_or(EndReason::Overload)
    }

    pub(super) fn trunk(&self, name: &str) -> Result<&TrunkRules, EndReason> {
        self.trunks.get(name).ok_or(EndReason::Internal)
    }
}
