//! The location service (RFC 3261 section 10.2): where a user's endpoints are found for a call that comes.
//! They may be known elsewhere than in this process, so a look-up may take its time.

use std::pin::Pin;

use super::client_event::EventSender;
use super::endpoint::Endpoint;
use super::ids::EndpointId;

/// A result that may have to be waited for.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Users and their endpoints.
pub trait LocationService: Send + Sync {
    /// An endpoint of `user` can be called from now on.
    fn register(&self, user: &str, endpoint: Endpoint);

    /// It no longer can.
    fn unregister(&self, user: &str, endpoint: EndpointId);

    /// The endpoints of `user`, the one last heard first, of several the one that came last:
    /// endpoints whose network died stay until their pings fail, and must not keep others from
    /// ringing.
    fn look_up<'a>(&'a self, user: &'a str) -> Later<'a, LookUp>;

    /// Waits until users that are watched have come or gone; gives each with whether an endpoint of it
    /// is registered now. One that came and went at once may be given as gone only.
    fn changes(&self) -> Later<'_, Vec<(String, bool)>>;

    /// Every endpoint that this process serves.
    fn local_endpoints(&self) -> Vec<EventSender>;
}

/// What the location service knows of a user.
#[derive(Debug)]
pub enum LookUp {
    /// No user has that name.
    Unknown,
    /// The user exists, no endpoint is registered.
    Absent,
    /// The user's endpoints, in the order in which they are to ring.
    Registered(Vec<Endpoint>),
}
