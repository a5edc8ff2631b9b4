//! The user part of our Contact, and what tells our registrations apart.

use crate::sip::stack::address::{Address, user_of};
use crate::sip::stack::message::{Headers, Name, elements};
use crate::sip::stack::uri::Uri;

/// The URI parameter that a registration is known by when its Contact is called.
pub const LINE: &str = "line";

/// Our Contact without its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactUser {
    /// The user part, not escaped.
    pub user: String,
    /// Value of the URI parameter [`LINE`]: a token that only the registrar knows.
    pub line: Option<String>,
}

impl From<String> for ContactUser {
    fn from(user: String) -> Self {
        ContactUser { user, line: None }
    }
}

impl ContactUser {
    /// The Contact of a registration. Some registrars want the user of Contact to be that of To;
    /// `plain` is true where this user is enough, and the token is a URI parameter then, which a
    /// registrar keeps (RFC 3261 section 10.3 step 7). Else the token is part of the user.
    pub fn of_registration(user: &str, plain: bool, token: String) -> Self {
        match plain {
            true => ContactUser {
                user: user.to_owned(),
                line: Some(token),
            },
            false => format!("{user}-{token}").into(),
        }
    }

    /// Seconds granted to this Contact among those of a response. A registrar that drops the
    /// parameter says it where only one binding has the user.
    pub fn granted(&self, headers: &Headers) -> Option<u32> {
        let mut listed: Vec<Address> = elements(headers, &Name::CONTACT)
            .into_iter()
            .filter_map(|element| Address::parse(element).ok())
            .filter(|address| user_of(&address.uri) == self.user)
            .collect();
        let line = self.line.as_deref();
        let own = listed
            .iter()
            .position(|address| line.is_some() && Uri::read(&address.uri).param(LINE) == line);
        let own = match (own, line) {
            (Some(own), _) => own,
            (None, Some(_)) if listed.len() > 1 => return None,
            (None, _) if listed.is_empty() => return None,
            (None, _) => 0,
        };
        listed.swap_remove(own).param("expires")?.parse().ok()
    }
}
