//! Who is signed in: users and the connections of their pages.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::client_event::EventSender;
use super::endpoint::Endpoint;
use super::ids::EndpointId;

/// Users and their pages. Held only for look-ups, never across a wait.
#[derive(Debug, Default)]
pub struct LocationService {
    known: HashSet<String>,
    /// Users whose coming and going somebody follows.
    followed: HashSet<String>,
    /// Those of them that came or went since [`LocationService::changes`] was last asked.
    changed: Mutex<HashSet<String>>,
    news: Notify,
    pages: Mutex<HashMap<String, Vec<Endpoint>>>,
}

/// What the location service says of a user.
#[derive(Debug)]
pub enum LookUp {
    /// Nobody has that name.
    Unknown,
    /// The user exists, no page is signed in.
    Absent,
    /// The user's connections, the one last heard first.
    Pages(Vec<Endpoint>),
}

impl LocationService {
    /// A location service in which `known` users exist even while no page is signed in.
    pub fn new(known: HashSet<String>) -> Self {
        LocationService {
            known,
            ..LocationService::default()
        }
    }

    /// The same, with [`LocationService::changes`] telling of `followed`.
    #[must_use]
    pub fn following(mut self, followed: HashSet<String>) -> Self {
        self.followed = followed;
        self
    }

    /// Waits until followed users have come or gone; gives each with whether a page of it is
    /// signed in now. One that came and went at once may be told as gone only.
    pub async fn changes(&self) -> Vec<(String, bool)> {
        loop {
            let changed = std::mem::take(&mut *lock(&self.changed));
            if !changed.is_empty() {
                let pages = self.pages();
                return changed
                    .into_iter()
                    .map(|user| {
                        let present = pages.contains_key(&user);
                        (user, present)
                    })
                    .collect();
            }
            self.news.notified().await;
        }
    }

    /// A page has signed in.
    pub fn sign_in(&self, user: &str, connection: Endpoint) {
        self.pages()
            .entry(user.to_owned())
            .or_default()
            .push(connection);
        self.tell(user);
    }

    /// A page has gone.
    pub fn sign_out(&self, user: &str, endpoint: EndpointId) {
        let mut pages = self.pages();
        if let Some(of_user) = pages.get_mut(user) {
            of_user.retain(|connection| connection.id != endpoint);
            if of_user.is_empty() {
                pages.remove(user);
            }
        }
        drop(pages);
        self.tell(user);
    }

    fn tell(&self, user: &str) {
        if self.followed.contains(user) {
            lock(&self.changed).insert(user.to_owned());
            self.news.notify_one();
        }
    }

    /// The connections of `user`, the one last heard first, of several the one that came last:
    /// connections whose network died stay until their pings fail, and must not keep others from
    /// ringing.
    pub fn look_up(&self, user: &str) -> LookUp {
        match self.pages().get(user) {
            Some(pages) => {
                let mut pages: Vec<Endpoint> = pages.iter().rev().cloned().collect();
                pages.sort_by_key(|page| std::cmp::Reverse(page.state.last_heard()));
                LookUp::Pages(pages)
            }
            None if self.known.contains(user) => LookUp::Absent,
            None => LookUp::Unknown,
        }
    }

    /// Every page, to say goodbye to.
    pub fn everybody(&self) -> Vec<EventSender> {
        let pages = self.pages();
        pages
            .values()
            .flatten()
            .map(|connection| connection.sender.clone())
            .collect()
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<String, Vec<Endpoint>>> {
        lock(&self.pages)
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
    fn a_user_rings_on_every_page_until_the_last_has_gone() {
        let location_service = LocationService::new(HashSet::from(["alice".to_owned()]));
        assert!(matches!(location_service.look_up("bob"), LookUp::Unknown));
        assert!(matches!(location_service.look_up("alice"), LookUp::Absent));
        let (sender, _receiver) = mpsc::channel(1);
        location_service.sign_in("alice", Endpoint::new(EndpointId(1), sender.clone()));
        location_service.sign_in("alice", Endpoint::new(EndpointId(2), sender));
        assert!(
            matches!(location_service.look_up("alice"), LookUp::Pages(pages) if pages.len() == 2)
        );
        location_service.sign_out("alice", EndpointId(1));
        assert!(
            matches!(location_service.look_up("alice"), LookUp::Pages(pages) if pages.len() == 1)
        );
        location_service.sign_out("alice", EndpointId(2));
        assert!(matches!(location_service.look_up("alice"), LookUp::Absent));
    }

    #[test]
    fn connection_last_heard_rings_first() {
        let location_service = LocationService::new(HashSet::new());
        let (sender, _receiver) = mpsc::channel(1);
        for (endpoint, heard) in [(1, 900), (2, 100), (3, 500), (4, 100), (5, 501)] {
            let connection = Endpoint::new(EndpointId(endpoint), sender.clone());
            connection.state.set_last_heard(heard);
            location_service.sign_in("alice", connection);
        }
        let order = || {
            let LookUp::Pages(pages) = location_service.look_up("alice") else {
                panic!("alice is signed in");
            };
            let order: Vec<u64> = pages.iter().map(|page| page.id.0).collect();
            (order, pages)
        };
        let (first, pages) = order();
        assert_eq!(first, [1, 5, 3, 4, 2]);
        // What is heard later counts at the next call.
        pages[4].state.set_last_heard(1_000);
        assert_eq!(order().0, [2, 1, 5, 3, 4]);
    }

    #[tokio::test]
    async fn the_coming_and_going_of_followed_users_is_told() {
        let location_service = LocationService::new(HashSet::new())
            .following(HashSet::from(["alice".to_owned(), "bob".to_owned()]));
        let (sender, _receiver) = mpsc::channel(1);
        location_service.sign_in("carol", Endpoint::new(EndpointId(1), sender.clone()));
        location_service.sign_in("alice", Endpoint::new(EndpointId(2), sender.clone()));
        assert_eq!(
            location_service.changes().await,
            [("alice".to_owned(), true)]
        );
        location_service.sign_in("alice", Endpoint::new(EndpointId(3), sender.clone()));
        location_service.sign_out("alice", EndpointId(2));
        assert_eq!(
            location_service.changes().await,
            [("alice".to_owned(), true)]
        );
        location_service.sign_out("alice", EndpointId(3));
        assert_eq!(
            location_service.changes().await,
            [("alice".to_owned(), false)]
        );
    }
}
