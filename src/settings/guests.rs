//! Who may sign in without credentials, and what is open to them.

use super::{Route, Settings};

impl Settings {
    /// Whether a page may sign in without credentials.
    pub fn takes_guests(&self) -> bool {
        let anonymous = self.sign_in.anonymous;
        let alone = self.user.is_empty() && self.trunk.is_empty() && !self.takes_tokens();
        anonymous.unwrap_or(alone)
    }

    /// Whether pages may sign in with JSON Web Tokens.
    pub fn takes_tokens(&self) -> bool {
        self.sign_in.jwt_key.is_some() || self.sign_in.jwt_key_file.is_some()
    }

    /// The routes that everybody can use who opens the page, with their places in `route`.
    pub fn open_routes(&self) -> impl Iterator<Item = (usize, &Route)> {
        let routes = self.route.iter().enumerate();
        let open = self.takes_guests();
        routes.filter(move |(_, route)| open && route.guests)
    }
}
