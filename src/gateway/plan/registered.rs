//! Under which name a trunk and its users' lines are registered, and under which they answer digest
//! challenges: many providers have two (RFC 3261 sections 10.2 and 22.1).

use crate::settings;
use crate::sip::{self, CalledNumber};

/// The user of a trunk's address of record: `username`. Where that has an `@`, it can only be a name
/// for digest, and the user is `from_user`.
pub(super) fn user(trunk: &settings::Trunk) -> Option<&str> {
    let username = trunk.account.username.as_ref()?;
    let other = trunk
        .account
        .from_user
        .as_ref()
        .filter(|_| username.contains('@'));
    Some(other.unwrap_or(username))
}

/// The name by which a trunk's digest challenges are answered.
pub(super) fn digest_name(trunk: &settings::Trunk) -> Option<&String> {
    trunk
        .account
        .auth_username
        .as_ref()
        .or(trunk.account.username.as_ref())
}

/// The line that a user has at that trunk.
pub(super) fn account(user: &settings::User, trunk: &settings::Trunk) -> sip::Account {
    let name = user.trunk_username.as_ref().unwrap_or(&user.name);
    let digest_name = user.trunk_auth_username.as_ref().unwrap_or(name);
    sip::Account {
        user: user.name.clone(),
        registration: sip::Registration {
            user: name.clone(),
            expires: trunk.registration.expires,
            outbound: trunk.registration.outbound,
        },
        credentials: user
            .trunk_password
            .as_ref()
            .map(|password| sip::Credentials {
                username: digest_name.clone(),
                password: password.0.clone(),
            }),
        registered: match user.trunk_register {
            settings::LineRegistration::Always => sip::Registered::Always,
            settings::LineRegistration::Never => sip::Registered::Never,
            settings::LineRegistration::SignedIn => sip::Registered::Present,
        },
    }
}

/// Where the called number of a trunk's calls stands.
pub(super) fn called(trunk: &settings::Trunk) -> CalledNumber {
    match trunk.callers.called_number {
        None if trunk.callers.called_party_id => CalledNumber::CalledPartyId,
        None => CalledNumber::Automatic,
        Some(settings::CalledNumber::Request) => CalledNumber::Request,
        Some(settings::CalledNumber::To) => CalledNumber::To,
        Some(settings::CalledNumber::PCalledPartyId) => CalledNumber::CalledPartyId,
    }
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
            let mut trunk = settings::Trunk::new("t", "sip:carrier.example");
            trunk.account = settings::TrunkAccount {
                domain: None,
                username: Some(username.to_owned()),
                auth_username: auth_username.map(str::to_owned),
                from_user: from_user.map(str::to_owned),
                password: secret(),
                register: true,
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
    fn the_place_of_the_called_number_is_read() {
        use settings::CalledNumber as Written;
        for (number, party, expected) in [
            (None, false, CalledNumber::Automatic),
            (None, true, CalledNumber::CalledPartyId),
            (Some(Written::Request), false, CalledNumber::Request),
            (Some(Written::To), false, CalledNumber::To),
            (
                Some(Written::PCalledPartyId),
                true,
                CalledNumber::CalledPartyId,
            ),
        ] {
            let mut trunk = settings::Trunk::default();
            trunk.callers.called_number = number;
            trunk.callers.called_party_id = party;
            assert_eq!(called(&trunk), expected, "{number:?}");
        }
    }
}
