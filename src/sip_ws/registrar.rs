//! The bindings of all connections, and the endpoints that calls to their users find by them.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::bindings::{Binding, Bindings, Bound, TooMany};
use super::registration::Registration;
use crate::call::{Endpoint, EndpointId, LocationService};

/// Shared by all connections.
pub(super) struct Registrar {
    bindings: Mutex<Bindings>,
    location_service: Arc<dyn LocationService>,
}

impl Registrar {
    pub fn new(location_service: Arc<dyn LocationService>) -> Self {
        Registrar {
            bindings: Mutex::default(),
            location_service,
        }
    }

    /// Does what a REGISTER of the user asks for; gives the bindings that there are then.
    pub fn register(
        &self,
        user: &str,
        endpoint: &Endpoint,
        registration: Registration,
    ) -> Result<Vec<Bound>, TooMany> {
        let now = Instant::now();
        // Held meanwhile, so that bindings and endpoints stay those of each other.
        let mut bindings = self.bindings();
        match registration {
            Registration::Query => {}
            Registration::Bind { contact, expires } => {
                let binding = Binding {
                    contact,
                    endpoint: endpoint.id,
                    expires: now + expires,
                };
                let change = bindings.bind(user, binding)?;
                for replaced in change.replaced {
                    self.location_service.unregister(user, replaced);
                }
                if change.is_new {
                    self.location_service.register(user, endpoint.clone());
                }
            }
            Registration::Remove => {
                if bindings.remove(user, endpoint.id) {
                    self.location_service.unregister(user, endpoint.id);
                }
            }
            Registration::RemoveAll => {
                for endpoint in bindings.remove_all(user) {
                    self.location_service.unregister(user, endpoint);
                }
            }
        }
        Ok(bindings.of(user, now))
    }

    /// The binding of a connection has ended, or the connection has.
    pub fn remove(&self, user: &str, endpoint: EndpointId) {
        if self.bindings().remove(user, endpoint) {
            self.location_service.unregister(user, endpoint);
        }
    }

    fn bindings(&self) -> MutexGuard<'_, Bindings> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
