//! The location service of one process.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::call::{Endpoint, EndpointId, EventSender, Later, LocationService, LookUp};

/// Users and their endpoints. The locks are held for look-ups only, never across a wait.
#[derive(Debug, Default)]
pub struct InMemoryLocationService {
    known: HashSet<String>,
    /// Users whose coming and going somebody watches.
    watched: HashSet<String>,
    /// Those of them that came or went since [`LocationService::changes`] was last asked.
    changed: Mutex<HashSet<String>>,
    notification: Notify,
    registered: Mutex<HashMap<String, Vec<Endpoint>>>,
}

impl InMemoryLocationService {
    /// A location service in which `known` users exist even while no endpoint is registered.
    pub fn new(known: HashSet<String>) -> Self {
        InMemoryLocationService {
            known,
            ..InMemoryLocationService::default()
        }
    }

    /// The same, with [`LocationService::changes`] telling of `watched`.
    #[must_use]
    pub fn watching(mut self, watched: HashSet<String>) -> Self {
        self.watched = watched;
        self
    }

    fn notify(&self, user: &str) {
        if self.watched.contains(user) {
            lock(&self.changed).insert(user.to_owned());
            self.notification.notify_one();
        }
    }

    fn find(&self, user: &str) -> LookUp {
        match self.registered().get(user) {
            Some(endpoints) => {
                let mut endpoints: Vec<Endpoint> = endpoints.iter().rev().cloned().collect();
                endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.state.last_heard()));
                LookUp::Registered(endpoints)
            }
            None if self.known.contains(user) => LookUp::Absent,
            None => LookUp::Unknown,
        }
    }

    async fn next_changes(&self) -> Vec<(String, bool)> {
        loop {
            let changed = std::mem::take(&mut *lock(&self.changed));
            if !changed.is_empty() {
                let registered = self.registered();
                return changed
                    .into_iter()
                    .map(|user| {
                        let present = registered.contains_key(&user);
                        (user, present)
                    })
                    .collect();
            }
            self.notification.notified().await;
        }
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<String, Vec<Endpoint>>> {
        lock(&self.registered)
    }
}

impl LocationService for InMemoryLocationService {
    fn register(&self, user: &str, endpoint: Endpoint) {
        self.registered()
            .entry(user.to_owned())
            .or_default()
            .push(endpoint);
        self.notify(user);
    }

    fn unregister(&self, user: &str, endpoint: EndpointId) {
        let mut registered = self.registered();
        if let Some(of_user) = registered.get_mut(user) {
            of_user.retain(|known| known.id != endpoint);
            if of_user.is_empty() {
                registered.remove(user);
            }
        }
        drop(registered);
        self.notify(user);
    }

    fn look_up<'a>(&'a self, user: &'a str) -> Later<'a, LookUp> {
        Box::pin(std::future::ready(self.find(user)))
    }

    fn changes(&self) -> Later<'_, Vec<(String, bool)>> {
        Box::pin(self.next_changes())
    }

    fn local_endpoints(&self) -> Vec<EventSender> {
        let registered = self.registered();
        let all = registered.values().flatten();
        all.map(|endpoint| endpoint.sender.clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here can panic halfway through a change, so a poisoned lock is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn user_is_found_until_the_last_endpoint_is_unregistered() {
        let location_service = InMemoryLocationService::new(HashSet::from(["alice".to_owned()]));
        assert!(matches!(location_service.find("bob"), LookUp::Unknown));
        assert!(matches!(location_service.find("alice"), LookUp::Absent));
        let (sender, _receiver) = mpsc::channel(1);
        location_service.register("alice", Endpoint::new(EndpointId(1), sender.clone()));
        location_service.register("alice", Endpoint::new(EndpointId(2), sender));
        assert!(
            matches!(location_service.find("alice"), LookUp::Registered(endpoints) if endpoints.len() == 2)
        );
        location_service.unregister("alice", EndpointId(1));
        assert!(
            matches!(location_service.find("alice"), LookUp::Registered(endpoints) if endpoints.len() == 1)
        );
        location_service.unregister("alice", EndpointId(2));
        assert!(matches!(location_service.find("alice"), LookUp::Absent));
    }

    #[test]
    fn endpoint_last_heard_rings_first() {
        let location_service = InMemoryLocationService::new(HashSet::new());
        let (sender, _receiver) = mpsc::channel(1);
        for (endpoint, heard) in [(1, 900), (2, 100), (3, 500), (4, 100), (5, 501)] {
            let connection = Endpoint::new(EndpointId(endpoint), sender.clone());
            connection.state.set_last_heard(heard);
            location_service.register("alice", connection);
        }
        let order = || {
            let LookUp::Registered(endpoints) = location_service.find("alice") else {
                panic!("alice is signed in");
            };
            let order: Vec<u64> = endpoints.iter().map(|endpoint| endpoint.id.0).collect();
            (order, endpoints)
        };
        let (first, endpoints) = order();
        assert_eq!(first, [1, 5, 3, 4, 2]);
        // What is heard later counts at the next call.
        endpoints[4].state.set_last_heard(1_000);
        assert_eq!(order().0, [2, 1, 5, 3, 4]);
    }

    #[tokio::test]
    async fn watched_user_that_comes_or_goes_is_notified() {
        let location_service = InMemoryLocationService::new(HashSet::new())
            .watching(HashSet::from(["alice".to_owned(), "bob".to_owned()]));
        let (sender, _receiver) = mpsc::channel(1);
        location_service.register("carol", Endpoint::new(EndpointId(1), sender.clone()));
        location_service.register("alice", Endpoint::new(EndpointId(2), sender.clone()));
        assert_eq!(
            location_service.changes().await,
            [("alice".to_owned(), true)]
        );
        location_service.register("alice", Endpoint::new(EndpointId(3), sender.clone()));
        location_service.unregister("alice", EndpointId(2));
        assert_eq!(
            location_service.changes().await,
            [("alice".to_owned(), true)]
        );
        location_service.unregister("alice", EndpointId(3));
        assert_eq!(
            location_service.changes().await,
            [("alice".to_owned(), false)]
        );
    }
}
