//! One call's task: the only owner of its [`Call`]. Takes events from the page, the SIP leg and
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
use transfer::second_event;

pub(super) use transfer::TransferLegs;

use super::endpoints::Endpoints;
use super::handle::CallHandle;
use super::inbox::Inbox;
use super::location_service::LocationService;
use super::message::{Command, Event};
use super::open_calls::OpenCall;
use super::recorded_call::RecordedCall;
use super::sip_side::SipSide;
use super::translate;
use crate::media::{self, CallKey, RtpSockets, WorkerHandle};
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

/// Everything that one call owns.
pub(super) struct CallTask {
    pub(super) key: CallKey,
    pub(super) call: RecordedCall,
    pub(super) handle: CallHandle,
    pub(super) endpoints: Endpoints,
    pub(super) side: SipSide,
    pub(super) worker: WorkerHandle,
    pub(super) commands: Inbox,
    pub(super) transfer: TransferLegs,
    /// An event whose description waits for addresses.
    pub(super) looking_up: Option<LookingUp>,
    /// Where endpoints of the user are found that attach.
    pub(super) location_service: Arc<dyn LocationService>,
    pub(super) media_events: mpsc::Receiver<media::MediaEvent>,
    pub(super) stop: watch::Receiver<bool>,
    /// Counted as open until the task ends.
    pub(super) _open: OpenCall,
    pub(super) trunk: String,
    pub(super) user: String,
}

impl CallTask {
    /// Runs the call to its end.
    pub(super) async fn run(mut self, rtp: RtpSockets) {
        self.tell_worker(media::Command::AttachRtp(rtp));
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
                        self.take_second(event);
                    }
                }
                Input::LookedUp(false, Some(event)) => self.take_sip(event).await,
                Input::LookedUp(true, Some(event)) => self.take_second(event),
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
            event = second_event(&mut self.transfer), if !waits => Input::Second(event),
            event = self.media_events.recv() => {
                event.map_or(Input::MediaGone, |event| Input::Media(Box::new(event)))
            },
            () = until(deadline) => Input::Time,
            _ = self.stop.wait_for(|stop| *stop) => Input::Asked(Command::ShutDown),
        }
    }

    /// Takes the media events that wait: whether the peer was connected before the page hung up
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
