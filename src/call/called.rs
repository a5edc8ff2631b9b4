//! Which user of ours a call or a text is for.

use super::EndReason;
use super::endpoint::Endpoint;
use super::location_service::{LocationService, LookUp};
use super::routing::Routes;

/// A user who was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The number that led to the user.
    pub number: String,
    /// The user's name.
    pub user: String,
    /// The user's connections, the one last heard first.
    pub pages: Vec<Endpoint>,
}

/// Finds the user that the first of `numbers` leads to which leads to one at all. A request to a
/// user's own line (`account`) needs no route.
///
/// Errors: [`EndReason::NotFound`] where no number leads to a user, [`EndReason::Unavailable`] where
/// that user has no page.
pub(super) fn find(
    routes: &Routes,
    location_service: &LocationService,
    trunk: &str,
    account: Option<&str>,
    numbers: &[&str],
) -> Result<Found, EndReason> {
    for number in numbers {
        let routed = || routes.inbound(trunk, number);
        let Some(user) = account.map(str::to_owned).or_else(routed) else {
            continue;
        };
        match location_service.look_up(&user) {
            LookUp::Unknown => {}
            LookUp::Absent => return Err(EndReason::Unavailable),
            LookUp::Pages(pages) => {
                return Ok(Found {
                    number: (*number).to_owned(),
                    user,
                    pages,
                });
            }
        }
    }
    Err(EndReason::NotFound)
}
