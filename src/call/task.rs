//! One call's task: the only owner of its [`Call`]. Takes events from the client, the SIP leg and
//! the media worker to the machine, and carries its actions out.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

mod actions;
mod clients;
mod name_lookup;
mod transfer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use name_lookup::{LookingUp, looked_up};
use transfer::{TransferLegs, transfer_leg_event};

use super::endpoints::Endpoints;
use super::handle::CallHandle;
use super::inbox::{Inbox, inbox};
use super::location_service::LocationService;
use super::machine::Call;
use super::message::{Command, Event};
use super::open_calls::OpenCall;
use super::record::CallRecord;
use super::recorded_call::RecordedCall;
use super::sip_side::SipSide;
use super::translate;
use crate::media::{self, CallKey, RtpSockets, StreamId, WorkerHandle};
use crate::sip;

/// All that can wake a call's task.
enum Input {
    Asked(Command),
    Sip(sip::Event),
    Second(sip::Event),
    /// The names in the description of an event are looked up; of the second leg or the first.
    LookedUp(bool, Option<sip::Event>),
    Media(Box<media::MediaEvent>),
    MediaGone,
    Time,
}

/// What a call's task is made of.
pub(crate) struct CallParts {
    pub(crate) key: CallKey,
    pub(crate) call: Call,
    pub(crate) record: CallRecord,
    pub(crate) endpoints: Endpoints,
    pub(crate) side: SipSide,
    pub(crate) worker: WorkerHandle,
    pub(crate) media_events: mpsc::Receiver<media::MediaEvent>,
    pub(crate) location_service: Arc<dyn LocationService>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) open: OpenCall,
    pub(crate) trunk: String,
}

/// Everything that one call owns.
pub(crate) struct CallTask {
    key: CallKey,
    call: RecordedCall,
    handle: CallHandle,
    endpoints: Endpoints,
    side: SipSide,
    worker: WorkerHandle,
    commands: Inbox,
    transfer: TransferLegs,
    /// An event whose description waits for addresses.
    looking_up: Option<LookingUp>,
    /// Where endpoints of the user are found that attach.
    location_service: Arc<dyn LocationService>,
    media_events: mpsc::Receiver<media::MediaEvent>,
    stop: watch::Receiver<bool>,
    /// Counted as open until the task ends.
    _open: OpenCall,
    trunk: String,
    user: String,
}

impl CallTask {
    /// A call that begins now, and how others talk to it.
    pub(crate) fn new(parts: CallParts) -> (Self, CallHandle) {
        let (outlet, commands) = inbox();
        let handle = CallHandle::new(outlet, parts.call.id(), parts.call.token());
        let mut record = parts.record;
        record.names.call = parts.key.0;
        record.names.id = Some(parts.call.id());
        record.names.page_call.clone_from(&parts.endpoints.call);
        record.names.trunk.clone_from(&parts.trunk);
        let user = record.names.user.clone();
        let task = CallTask {
            key: parts.key,
            call: RecordedCall::new(parts.call, record, Instant::now()),
            handle: handle.clone(),
            endpoints: parts.endpoints,
            side: parts.side,
            worker: parts.worker,
            commands,
            transfer: TransferLegs::default(),
            looking_up: None,
            location_service: parts.location_service,
            media_events: parts.media_events,
            stop: parts.stop,
            _open: parts.open,
            trunk: parts.trunk,
            user,
        };
        (task, handle)
    }

    /// Runs the call to its end.
    pub(crate) async fn run(mut self, rtp: RtpSockets) {
        self.tell_worker(media::Command::AttachRtp(StreamId::FIRST_AUDIO, rtp));
        self.act().await;
        self.call.write_start();
        while !self.call.is_ended() {
            match self.next().await {
                Input::Asked(command) => self.take_command(command).await,
                Input::Sip(event) => {
                    if let Some(event) = self.look_up(event, false) {
                        self.take_sip(event).await;
                    }
                }
                Input::Second(event) => {
                    if let Some(event) = self.look_up(event, true) {
                        self.take_transfer_leg(event);
                    }
                }
                Input::LookedUp(false, Some(event)) => self.take_sip(event).await,
                Input::LookedUp(true, Some(event)) => self.take_transfer_leg(event),
                Input::LookedUp(_, None) => {}
                Input::Media(event) => self.take_media(*event),
                Input::MediaGone => self.call.handle_event(Event::MediaLost, Instant::now()),
                Input::Time => self.call.handle_timeout(Instant::now()),
            }
            self.act().await;
        }
        self.close_media().await;
        self.call.write_end();
    }

    /// Waits for whatever comes first.
    async fn next(&mut self) -> Input {
        let deadline = self.call.poll_timeout();
        // The events of a leg are taken in their order.
        let waits = self.looking_up.is_some();
        tokio::select! {
            command = self.commands.next() => Input::Asked(command),
            (second, event) = looked_up(&mut self.looking_up) => Input::LookedUp(second, event),
            Some(event) = self.side.events.recv(), if !waits => Input::Sip(event),
            event = transfer_leg_event(&mut self.transfer), if !waits => Input::Second(event),
            event = self.media_events.recv() => {
                event.map_or(Input::MediaGone, |event| Input::Media(Box::new(event)))
            },
            () = until(deadline) => Input::Time,
            _ = self.stop.wait_for(|stop| *stop) => Input::Asked(Command::ShutDown),
        }
    }

    /// Takes the media events that wait: whether the peer was connected before the client hung up
    /// decides the reason of the end.
    fn catch_up_with_media(&mut self) {
        for _ in 0..self.media_events.len() {
            let Ok(event) = self.media_events.try_recv() else {
                return;
            };
            self.take_media(event);
        }
    }

    async fn take_sip(&mut self, event: sip::Event) {
        self.side.follow(&event);
        self.handle.set_dialog(self.side.dialog());
        match event {
            sip::Event::PeerAddress { ip } => self.tell_worker(media::Command::SetRtpPeer(ip)),
            sip::Event::Referred(referral) => self.take_referral(referral),
            sip::Event::Replaced {
                by,
                from,
                call_id,
                body,
            } => self.take_replacement(by, from, call_id, body).await,
            event => {
                if let Some(event) = translate::from_sip(event) {
                    self.happen(event);
                }
            }
        }
    }

    fn happen(&mut self, event: Event) {
        self.call.handle_event(event, Instant::now());
    }

    fn take_media(&mut self, event: media::MediaEvent) {
        if let Some(event) = translate::transport_of(&event) {
            self.happen(Event::Transport(event));
        }
        if let media::MediaEvent::Closed { reason, statistics } = &event {
            tracing::debug!(call = self.key.0, %reason, ?statistics, "media closed");
        }
        if let Some(event) = translate::from_media(event) {
            self.happen(event);
        }
    }

    async fn act(&mut self) {
        while let Some(action) = self.call.poll_action(Instant::now()) {
            self.carry_out(action).await;
        }
    }

    /// Lets the worker go and waits for its last count, which the record wants.
    async fn close_media(&mut self) {
        self.tell_worker(media::Command::Close);
        let last = async {
            while let Some(event) = self.media_events.recv().await {
                if let media::MediaEvent::Closed { statistics, .. } = event {
                    return Some(statistics);
                }
            }
            None
        };
        if let Ok(Some(statistics)) = tokio::time::timeout(LAST_COUNT, last).await {
            self.call.take_last_count(translate::quality(&statistics));
        }
    }

    fn tell_audio(&mut self, command: media::AudioCommand) {
        self.tell_worker(command.to(StreamId::FIRST_AUDIO));
    }

    fn tell_worker(&mut self, command: media::Command) {
        if let Err(error) = self.worker.command(self.key, command) {
            tracing::error!(call = self.key.0, %error, "media worker does not take a command");
            self.call.handle_event(Event::MediaLost, Instant::now());
        }
    }
}

/// Sleeps until `deadline`; for ever where there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// How long a worker may take for the last count of a call.
const LAST_COUNT: Duration = Duration::from_secs(1);
