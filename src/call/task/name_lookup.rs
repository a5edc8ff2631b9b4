//! Events of a SIP leg whose description has host names: they are looked up before the call's
//! machine reads them. The call waits, the others do not, and what the client asks meanwhile is done
//! at once.
#![expect(clippy::disallowed_methods, reason = "a driver: starts lookups")]

use bytes::Bytes;
use tokio::sync::oneshot;

use super::CallTask;
use crate::call::names::{has_names, resolved};
use crate::sip;

/// An event of a SIP leg whose description waits for addresses.
pub(super) struct LookingUp {
    /// Of the second leg, not of the first.
    second: bool,
    event: oneshot::Receiver<sip::Event>,
}

/// The event that has been waited for, and whether it is the second leg's; never where there is
/// none. What is lost with a lookup that ended is not told.
pub(super) async fn looked_up(waiting: &mut Option<LookingUp>) -> (bool, Option<sip::Event>) {
    let Some(looking_up) = waiting else {
        return std::future::pending().await;
    };
    let event = (&mut looking_up.event).await.ok();
    let second = looking_up.second;
    *waiting = None;
    (second, event)
}

impl CallTask {
    /// Gives the event back, or keeps it until the names in its description are looked up: then
    /// [`looked_up`] has it, and no other event of either leg is taken before.
    pub(super) fn look_up(&mut self, mut event: sip::Event, second: bool) -> Option<sip::Event> {
        let named = body_of(&mut event).filter(|body| has_names(body));
        let Some(body) = named.map(|body| body.clone()) else {
            return Some(event);
        };
        let (sender, receiver) = oneshot::channel();
        self.looking_up = Some(LookingUp {
            second,
            event: receiver,
        });
        let sip = self.side.sip.clone();
        tokio::spawn(async move {
            let resolved = resolved(&sip, &body).await;
            if let Some(body) = body_of(&mut event) {
                *body = resolved;
            }
            // The call may have ended meanwhile.
            let _ = sender.send(event);
        });
        None
    }
}

/// The description of an event.
fn body_of(event: &mut sip::Event) -> Option<&mut Bytes> {
    match event {
        sip::Event::Progress { body, .. }
        | sip::Event::Accepted { body, .. }
        | sip::Event::ProgressConfirmed { body }
        | sip::Event::Replaced { body, .. }
        | sip::Event::Reinvited { body, .. }
        | sip::Event::Confirmed { body } => body.as_mut(),
        sip::Event::ReinviteAnswered { body } => Some(body),
        _ => None,
    }
}
