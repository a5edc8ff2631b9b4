//! Who a client is: a guest, a user of the configuration, or the bearer of a JSON Web Token.

use std::collections::HashMap;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Error;
use super::identity::{Identity, is_plain};
use super::tokens::TokenVerifier;
use crate::guest::{GUEST_PREFIX, is_guest_name};
use crate::redacted::Redacted;

/// The longest user name, token or password that is looked at.
const LONGEST_CREDENTIAL: usize = 8 * 1024;

/// How clients may sign in.
#[derive(Default)]
pub struct SignIn {
    /// Whether a client may come in without credentials.
    pub anonymous: bool,
    /// The configuration's users by name.
    pub users: HashMap<String, StaticUser>,
    /// Whose tokens are believed.
    pub tokens: Option<TokenVerifier>,
}

/// A user of the configuration.
#[derive(Clone, Debug)]
pub struct StaticUser {
    /// SHA-256 of the password: passwords of any length are compared in the same time.
    digest: Redacted<[u8; 32]>,
    /// The name that called parties see.
    display_name: Option<String>,
}

impl StaticUser {
    /// A user with this password.
    pub fn new(password: &Redacted<String>, display_name: Option<String>) -> Self {
        StaticUser {
            digest: Redacted::new(Sha256::digest(password.reveal()).into()),
            display_name,
        }
    }
}

/// Who signed in, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// When the token ends; none for users and guests.
    pub expires: Option<SystemTime>,
}

/// What a client shows.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user's name.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Redacted<String>>,
    /// A JSON Web Token.
    pub token: Option<Redacted<String>>,
}

impl SignIn {
    /// How clients may sign in: `password`, `token`, `guest`. A matter of the configuration alone,
    /// whoever asks.
    pub(super) fn methods(&self) -> Vec<&'static str> {
        [
            (!self.users.is_empty()).then_some("password"),
            self.tokens.is_some().then_some("token"),
            self.anonymous.then_some("guest"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The user whom `token` names, true or not: for counting attempts, nothing else.
    pub(super) fn claimed_user(&self, token: &str) -> Option<String> {
        // What is too long is not looked at for this either.
        let tokens = self.tokens.as_ref()?;
        (token.len() <= LONGEST_CREDENTIAL)
            .then(|| tokens.claimed_user(token))
            .flatten()
    }

    /// Who shows `credentials` at the time `now`; `guest` is the number of those who show none.
    /// An unknown user and a wrong password are told alike, and take the same work.
    pub fn identify(
        &self,
        credentials: &Credentials,
        guest: u32,
        now: SystemTime,
    ) -> Result<SignedIn, Error> {
        let sizes = [
            credentials.user.as_ref().map(String::len),
            credentials
                .password
                .as_ref()
                .map(|password| password.reveal().len()),
            credentials.token.as_ref().map(|token| token.reveal().len()),
        ];
        if sizes
            .into_iter()
            .flatten()
            .any(|size| size > LONGEST_CREDENTIAL)
        {
            return Err(Error::Unauthorized);
        }
        if let Some(token) = &credentials.token {
            let verifier = self.tokens.as_ref().ok_or(Error::Unauthorized)?;
            let bearer = verifier.verify(token.reveal(), now)?;
            return Ok(SignedIn {
                identity: bearer.identity,
                expires: Some(bearer.expires),
            });
        }
        let identity = if let Some(password) = &credentials.password {
            let name = credentials.user.as_deref().unwrap_or_default();
            self.user(name, password)?
        } else {
            self.guest(credentials.user.as_deref(), guest)?
        };
        Ok(SignedIn {
            identity,
            expires: None,
        })
    }

    fn user(&self, name: &str, password: &Redacted<String>) -> Result<Identity, Error> {
        let shown: [u8; 32] = Sha256::digest(password.reveal()).into();
        let user = self.users.get(name);
        let nobody = [0; 32];
        let expected = user.map_or(&nobody, |user| user.digest.reveal());
        let same = bool::from(shown.ct_eq(expected));
        match user {
            Some(user) if same && !password.reveal().is_empty() => Ok(Identity {
                user: name.to_owned(),
                display_name: user.display_name.clone(),
            }),
            _ => Err(Error::Unauthorized),
        }
    }

    /// A guest, by a name that it may choose in part.
    fn guest(&self, chosen: Option<&str>, number: u32) -> Result<Identity, Error> {
        if !self.anonymous {
            return Err(Error::NoCredentials);
        }
        let user = match chosen {
            None => format!("{GUEST_PREFIX}{number:08x}"),
            // Who names a user means that user, and has no password.
            Some(name) if self.users.contains_key(name) => return Err(Error::Unauthorized),
            Some(name) if is_guest_name(name) => {
                format!("{GUEST_PREFIX}{}", &name[GUEST_PREFIX.len()..])
            }
            Some(name) => format!("{GUEST_PREFIX}{name}"),
        };
        if !is_plain(&user) {
            return Err(Error::Unauthorized);
        }
        Ok(Identity {
            user,
            display_name: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: Option<&str>, password: Option<&str>) -> Credentials {
        Credentials {
            user: user.map(str::to_owned),
            password: password.map(|password| Redacted::new(password.to_owned())),
            token: None,
        }
    }

    fn sign_in(anonymous: bool) -> SignIn {
        let password = Redacted::new("wonderland".to_owned());
        let alice = StaticUser::new(&password, Some("Alice".to_owned()));
        let empty = StaticUser::new(&Redacted::default(), None);
        SignIn {
            anonymous,
            users: HashMap::from([("alice".to_owned(), alice), ("empty".to_owned(), empty)]),
            tokens: None,
        }
    }

    fn identify(sign_in: &SignIn, credentials: &Credentials) -> Result<Identity, Error> {
        sign_in
            .identify(credentials, 7, SystemTime::UNIX_EPOCH)
            .map(|signed_in| signed_in.identity)
    }

    #[test]
    fn password_opens_its_own_user_only() {
        let sign_in = sign_in(false);
        let alice = identify(&sign_in, &credentials(Some("alice"), Some("wonderland")));
        assert_eq!(
            alice.expect("the right password").display_name.as_deref(),
            Some("Alice")
        );
        for wrong in [
            credentials(Some("alice"), Some("Wonderland")),
            credentials(Some("alice"), Some("")),
            credentials(Some("empty"), Some("")),
            credentials(Some("bob"), Some("wonderland")),
            credentials(Some("bob"), Some("")),
            credentials(None, Some("")),
            credentials(Some("alice"), None),
            credentials(None, None),
        ] {
            assert!(identify(&sign_in, &wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn no_credentials_are_told_from_wrong_ones_where_guests_are_refused() {
        for user in [None, Some("alice"), Some("bob"), Some("a b")] {
            let found = identify(&sign_in(false), &credentials(user, None));
            assert!(matches!(found, Err(Error::NoCredentials)), "{user:?}");
        }
        let found = identify(&sign_in(false), &credentials(Some("alice"), Some("")));
        assert!(matches!(found, Err(Error::Unauthorized)), "{found:?}");
        assert_eq!(Error::NoCredentials.refusal().code(), "unauthorized");
    }

    #[test]
    fn methods_are_those_of_the_configuration() {
        assert_eq!(sign_in(false).methods(), ["password"]);
        assert_eq!(sign_in(true).methods(), ["password", "guest"]);
        assert!(SignIn::default().methods().is_empty());
    }

    #[test]
    fn guest_name_always_begins_with_the_prefix() {
        let sign_in = sign_in(true);
        for (chosen, user) in [
            (None, "guest-00000007"),
            (Some("carol"), "guest-carol"),
            (Some("+49301234"), "guest-+49301234"),
            (Some("guest-carol"), "guest-carol"),
            (Some("GUEST-carol"), "guest-carol"),
            (Some("Alice"), "guest-Alice"),
        ] {
            let guest = identify(&sign_in, &credentials(chosen, None)).expect("guests may");
            assert_eq!(guest.user, user);
        }
        for refused in ["alice", "a b", "a@b", "a\r\nb", &"9".repeat(80)] {
            let refused = credentials(Some(refused), None);
            assert!(identify(&sign_in, &refused).is_err(), "{refused:?}");
        }
    }
}
