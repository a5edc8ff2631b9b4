//! Which user of ours a call or a text is for.

use super::routing::Routes;
use crate::call::{EndReason, Endpoint, LocationService, LookUp};

/// A user who was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The number that led to the user.
    pub number: String,
    /// The user's name.
    pub user: String,
    /// The user's endpoints, in the order in which they are to ring.
    pub endpoints: Vec<Endpoint>,
}

/// Finds the user that the first of `numbers` leads to which leads to one at all. A request to a
/// user's own line (`account`) needs no route.
///
/// Errors: [`EndReason::NotFound`] where no number leads to a user, [`EndReason::Unavailable`] where
/// that user has no endpoint.
pub(super) async fn find(
    routes: &Routes,
    location_service: &dyn LocationService,
    trunk: &str,
    account: Option<&str>,
    numbers: &[&str],
) -> Result<Found, EndReason> {
    for number in numbers {
        let routed = || routes.inbound(trunk, number);
        let Some(user) = account.map(str::to_owned).or_else(routed) else {
            continue;
        };
        match location_service.look_up(&user).await {
            LookUp::Unknown => {}
            LookUp::Absent => return Err(EndReason::Unavailable),
            LookUp::Registered(endpoints) => {
                return Ok(Found {
                    number: (*number).to_owned(),
                    user,
                    endpoints,
                });
            }
        }
    }
    Err(EndReason::NotFound)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::call::{EndpointId, EventSender, Later};

    /// A location service of another process: its answers come later.
    struct Remote(EventSender);

    impl LocationService for Remote {
        fn register(&self, _: &str, _: Endpoint) {}

        fn unregister(&self, _: &str, _: EndpointId) {}

        fn look_up<'a>(&'a self, user: &'a str) -> Later<'a, LookUp> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                match user {
                    "alice" => {
                        let endpoint = Endpoint::new(EndpointId(7), self.0.clone());
                        LookUp::Registered(vec![endpoint])
                    }
                    "bob" => LookUp::Absent,
                    _ => LookUp::Unknown,
                }
            })
        }

        fn changes(&self) -> Later<'_, Vec<(String, bool)>> {
            Box::pin(std::future::pending())
        }

        fn local_endpoints(&self) -> Vec<EventSender> {
            Vec::new()
        }
    }

    #[tokio::test]
    async fn user_of_a_line_is_found_in_another_process() {
        let service = Remote(mpsc::channel(1).0);
        let routes = Routes::default();
        let found = |user| find(&routes, &service, "office", Some(user), &["200"]);
        let alice = found("alice").await.expect("she is registered");
        assert_eq!(
            (alice.number.as_str(), alice.user.as_str()),
            ("200", "alice")
        );
        assert_eq!(alice.endpoints[0].id, EndpointId(7));
        let absent = found("bob").await.map(|found| found.user);
        assert_eq!(absent, Err(EndReason::Unavailable));
        let unknown = found("carol").await.map(|found| found.user);
        assert_eq!(unknown, Err(EndReason::NotFound));
    }
}
