//! Under which name a trunk and its users' lines are registered, and under which they answer digest
//! challenges: many providers have two (RFC 3261 sections 10.2 and 22.1).

use super::unusable;
use crate::settings::{self, Error};
use crate::sip::{self, CalledNumber};

/// The user of a trunk's address of record: `username`. Where that has an `@`, it can only be a name
/// for digest, and the user is `from_user`.
pub(super) fn user(trunk: &settings::Trunk) -> Option<&str> {
    let username = trunk.username.as_ref()?;
    let other = trunk.from_user.as_ref().filter(|_| username.contains('@'));
    Some(other.unwrap_or(username))
}

/// The name by which a trunk's digest challenges are answered.
pub(super) fn digest_name(trunk: &settings::Trunk) -> Option<&String> {
    trunk.auth_username.as_ref().or(trunk.username.as_ref())
}

/// The user part of its registered Contact, where it is given.
pub(super) fn contact_user(index: usize, trunk: &settings::Trunk) -> Result<Option<String>, Error> {
    match trunk.contact_user.as_deref() {
        Some("") => {
            let key = format!("trunk[{index}].contact_user");
            Err(unusable(key, "", "a user part, or no such key"))
        }
        named => Ok(named.map(str::to_owned)),
    }
}

/// The line that a user has at that trunk.
pub(super) fn account(user: &settings::User, trunk: &settings::Trunk) -> sip::Account {
    let name = user.trunk_username.as_ref().unwrap_or(&user.name);
    let digest_name = user.trunk_auth_username.as_ref().unwrap_or(name);
    sip::Account {
        user: user.name.clone(),
        registration: sip::Registration {
            user: name.clone(),
            expires: trunk.register_expires,
            outbound: trunk.register_outbound,
        },
        credentials: user
            .trunk_password
            .as_ref()
            .map(|password| sip::Credentials {
                username: digest_name.clone(),
                password: password.0.clone(),
            }),
        registered: match user.trunk_register.as_str() {
            "always" => sip::Registered::Always,
            "never" => sip::Registered::Never,
            _ => sip::Registered::Present,
        },
    }
}

/// Where the called number of a trunk's calls stands.
pub(super) fn called(index: usize, trunk: &settings::Trunk) -> Result<CalledNumber, Error> {
    let key = format!("trunk[{index}].called_number");
    let called = match trunk.called_number.as_deref() {
        None if trunk.called_party_id => CalledNumber::CalledPartyId,
        None => CalledNumber::Automatic,
        Some("request") => CalledNumber::Request,
        Some("to") => CalledNumber::To,
        Some("p-called-party-id") => CalledNumber::CalledPartyId,
        Some(other) => return Err(unusable(key, other, "request, to or p-called-party-id")),
    };
    if trunk.called_party_id && called != CalledNumber::CalledPartyId {
        let written = trunk.called_number.as_deref().unwrap_or("");
        let expected = "p-called-party-id, or no called_party_id = true beside it";
        return Err(unusable(key, written, expected));
    }
    Ok(called)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redacted::Redacted;

    fn secret() -> Option<settings::Secret> {
        Some(settings::Secret(Redacted::new("x".to_owned())))
    }

    #[test]
    fn digest_and_registration_have_names_of_their_own() {
        for (username, auth_username, from_user, registered, digest) in [
            ("4930", None, None, "4930", "4930"),
            ("4930", Some("auth-55"), None, "4930", "auth-55"),
            (
                "4930",
                Some("a@b.example"),
                Some("+4931"),
                "4930",
                "a@b.example",
            ),
            ("a@b.example", None, Some("+4930"), "+4930", "a@b.example"),
            ("acct", None, Some("+4930"), "acct", "acct"),
        ] {
            let trunk = settings::Trunk {
                target: "sip:carrier.example".to_owned(),
                username: Some(username.to_owned()),
                auth_username: auth_username.map(str::to_owned),
                from_user: from_user.map(str::to_owned),
                password: secret(),
                register: true,
                ..settings::Trunk::default()
            };
            let read = super::super::trunk::sip_trunk(0, &trunk).expect("usable");
            assert_eq!(read.registration.expect("registered").user, registered);
            assert_eq!(read.credentials.expect("answers").username, digest);
        }
    }

    #[test]
    fn a_line_has_a_name_for_digest_of_its_own() {
        let mut user = settings::User::new("alice", Redacted::new("y".to_owned()));
        user.trunk_username = Some("1001".to_owned());
        user.trunk_password = secret();
        let named = |user: &settings::User| {
            let line = account(user, &settings::Trunk::default());
            (
                line.registration.user,
                line.credentials.expect("answers").username,
            )
        };
        assert_eq!(named(&user), ("1001".to_owned(), "1001".to_owned()));
        user.trunk_auth_username = Some("dev-7".to_owned());
        assert_eq!(named(&user), ("1001".to_owned(), "dev-7".to_owned()));
    }

    #[test]
    fn the_place_of_the_called_number_is_read_and_what_is_none_is_named() {
        let with = |number: Option<&str>, party: bool| settings::Trunk {
            called_number: number.map(str::to_owned),
            called_party_id: party,
            ..settings::Trunk::default()
        };
        for (number, party, expected) in [
            (None, false, CalledNumber::Automatic),
            (None, true, CalledNumber::CalledPartyId),
            (Some("request"), false, CalledNumber::Request),
            (Some("to"), false, CalledNumber::To),
            (Some("p-called-party-id"), true, CalledNumber::CalledPartyId),
        ] {
            let read = called(0, &with(number, party)).expect("usable");
            assert_eq!(read, expected, "{number:?}");
        }
        let trunk = settings::Trunk {
            contact_user: Some(String::new()),
            ..settings::Trunk::default()
        };
        let error = contact_user(1, &trunk).expect_err("empty").to_string();
        assert!(error.contains("trunk[1].contact_user"), "{error}");
        for (number, party) in [("contact", false), ("to", true)] {
            let error = called(2, &with(Some(number), party)).expect_err(number);
            let error = error.to_string();
            assert!(error.contains("trunk[2].called_number"), "{error}");
            assert!(error.contains("p-called-party-id"), "{error}");
        }
    }
}
