//! From the parts that a call needs (a peer, an RTP port pair, a media worker, a SIP leg, ids) to a
//! running call.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts call tasks, draws ids and keys, reads the clock"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::rtp_addresses::{RtpAddress, RtpAddresses};
use super::trunk_rules::TrunkRules;
use crate::call::{
    Call, CallHandle, CallId, CallParts, CallRecord, CallTask, EndReason, Endpoints, Local,
    LocationService, OpenCall, ResumeToken, SipSide,
};
use crate::media::{self, CallKey, RtpSockets, StreamId, WorkerHandle};
use crate::peer::{self, Peer, Role};
use crate::sdp::{self, RtpFamilies};
use crate::sip;
use crate::supervision::{Supervisor, Task};

/// Media events that may wait for a call's task.
const MEDIA_QUEUE: usize = 64;

/// Makes calls of their parts.
pub(super) struct Assembly {
    sip: sip::Handle,
    workers: Vec<(WorkerHandle, Arc<peer::Config>)>,
    rtp: RtpAddresses,
    location_service: Arc<dyn LocationService>,
    supervisor: Supervisor,
    next: AtomicU64,
    /// Told when the gateway stops: every call task listens.
    stop: watch::Sender<bool>,
}

/// What is made before a call's machine.
pub(super) struct MediaParts {
    pub(super) key: CallKey,
    pub(super) local: Local,
    worker: WorkerHandle,
    peer: Peer,
    rtp: RtpSockets,
}

/// What intake makes for one call.
pub(super) struct NewCall {
    pub(super) call: Call,
    pub(super) endpoints: Endpoints,
    pub(super) side: SipSide,
    pub(super) open: OpenCall,
    /// The trunk's name.
    pub(super) trunk: String,
}

impl Assembly {
    pub(super) fn new(
        sip: sip::Handle,
        workers: Vec<(WorkerHandle, Arc<peer::Config>)>,
        rtp: RtpAddresses,
        location_service: Arc<dyn LocationService>,
        supervisor: Supervisor,
    ) -> Self {
        Assembly {
            sip,
            workers,
            rtp,
            location_service,
            supervisor,
            next: AtomicU64::new(1),
            stop: watch::Sender::new(false),
        }
    }

    /// Ends all calls.
    pub(super) fn stop_calls(&self) {
        self.stop.send_replace(true);
    }

    /// The families in which calls of a trunk can have RTP, where there is more than one address.
    pub(super) fn rtp_choice(&self, trunk: &str) -> Option<RtpFamilies> {
        self.rtp.has_choice(trunk).then(|| self.rtp.families(trunk))
    }

    /// The RTP address for a call of a trunk whose RTP is at `remote`.
    pub(super) fn rtp_at(&self, trunk: &str, remote: IpAddr) -> Result<&RtpAddress, EndReason> {
        self.rtp.towards(trunk, Some(remote))
    }

    /// The RTP address for a call to a trunk: of the family by which the trunk is reached.
    pub(super) async fn rtp_towards(&self, trunk: &str) -> Result<&RtpAddress, EndReason> {
        let reached = match self.rtp.has_choice(trunk) {
            true => self.sip.address_of_trunk(trunk).await,
            false => None,
        };
        self.rtp.towards(trunk, reached)
    }

    /// What a call needs on the worker with the fewest calls.
    pub(super) fn media_parts(
        &self,
        role: Role,
        rtp: &RtpAddress,
    ) -> Result<MediaParts, EndReason> {
        let (worker, config) = self
            .workers
            .iter()
            .min_by_key(|(worker, _)| worker.load())
            .ok_or(EndReason::Internal)?;
        let (rtp, rtp_address) = rtp.reserve()?;
        let peer = Peer::new(config, role, Instant::now()).map_err(|error| {
            tracing::error!(%error, "no peer for a call");
            EndReason::Internal
        })?;
        let local = Local {
            id: CallId::new(rand::random()),
            token: ResumeToken::new(rand::random()),
            rtp: sdp::LocalMedia::new(rtp_address, sdp::KeySeed::new(rand::random())),
            transport: peer.local_description(),
            browser_session: sdp::SessionIds::new(rand::random()),
            pbx_session: sdp::SessionIds::new(rand::random::<u32>().into()),
        };
        let key = CallKey(self.next.fetch_add(1, Ordering::Relaxed));
        Ok(MediaParts {
            key,
            local,
            worker: worker.clone(),
            peer,
            rtp,
        })
    }

    /// Starts a call. Its record is taken where the call begins.
    pub(super) fn start(
        &self,
        parts: MediaParts,
        new: NewCall,
        rules: &TrunkRules,
        record: &mut CallRecord,
    ) -> Result<CallHandle, EndReason> {
        let (media_sender, media_events) = mpsc::channel(MEDIA_QUEUE);
        parts
            .worker
            .open(parts.key, parts.peer, media_sender)
            .map_err(|error| {
                tracing::error!(%error, "media worker refused a call");
                EndReason::Overload
            })?;
        let known = [
            Some(media::AudioCommand::ExpectRtp(rules.latching).to(StreamId::FIRST_AUDIO)),
            new.side.peer_address().map(media::Command::SetRtpPeer),
        ];
        for command in known.into_iter().flatten() {
            if let Err(error) = parts.worker.command(parts.key, command) {
                tracing::error!(%error, "media worker does not take the addresses of a PBX");
            }
        }
        if rules.inband_digits
            && let Err(error) = parts.worker.command(
                parts.key,
                media::AudioCommand::DetectDigits.to(StreamId::FIRST_AUDIO),
            )
        {
            tracing::error!(%error, "media worker does not listen for digits");
        }
        let (task, handle) = CallTask::new(CallParts {
            key: parts.key,
            call: new.call,
            record: std::mem::take(record),
            endpoints: new.endpoints,
            side: new.side,
            worker: parts.worker,
            media_events,
            location_service: Arc::clone(&self.location_service),
            stop: self.stop.subscribe(),
            open: new.open,
            trunk: new.trunk,
        });
        let supervisor = self.supervisor.clone();
        tokio::spawn(async move { supervisor.attempt(Task::Call, task.run(parts.rtp)).await });
        Ok(handle)
    }
}
