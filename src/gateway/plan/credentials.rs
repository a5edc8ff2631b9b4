//! Who may sign in, from the settings: users, and the key of JSON Web Tokens.

use std::time::Duration;

use super::unusable;
use crate::redacted::Redacted;
use crate::settings::{Error, Settings};
use crate::signaling::{AttemptLimits, SignIn, SignInAttempts, StaticUser, TokenVerifier};
use crate::sip_ws::Accounts;

/// Reads `sign_in.jwt_key_file` too.
pub(super) fn sign_in(settings: &Settings) -> Result<SignIn, Error> {
    let users = settings.user.iter().map(|user| {
        let found = StaticUser::new(&user.password.0, user.display_name.clone());
        (user.name.clone(), found)
    });
    Ok(SignIn {
        anonymous: settings.takes_guests(),
        users: users.collect(),
        tokens: tokens(settings)?,
    })
}

/// The users as SIP over WebSocket needs them.
pub(in crate::gateway) fn accounts(settings: &Settings) -> Accounts {
    let mut accounts = Accounts {
        realm: settings.sip_websocket.realm.clone(),
        ..Accounts::default()
    };
    for user in &settings.user {
        accounts.add(&user.name, &user.password.0, user.display_name.clone());
    }
    accounts
}

/// How often wrong credentials may be tried.
pub(in crate::gateway) fn attempts(settings: &Settings) -> SignInAttempts {
    let written = &settings.sign_in;
    let limits = AttemptLimits {
        per_address: written.max_failures_per_address,
        per_user_and_address: written.max_failures_per_user_and_address,
        per_user: written.max_failures_per_user,
        window: Duration::from_secs(written.failure_window),
    };
    SignInAttempts::new(limits, Duration::from_secs(written.refusal_delay))
}

fn tokens(settings: &Settings) -> Result<Option<TokenVerifier>, Error> {
    let written = &settings.sign_in;
    let (key, bytes) = match (&written.jwt_key, &written.jwt_key_file) {
        (Some(key), _) => ("sign_in.jwt_key", key.0.reveal().as_bytes().to_vec()),
        (None, Some(path)) => {
            let key = "sign_in.jwt_key_file";
            let bytes = std::fs::read(path).map_err(|error| {
                let expected = format!("a file that can be read ({error})");
                unusable(key, &path.display().to_string(), &expected)
            })?;
            (key, bytes)
        }
        (None, None) => return Ok(None),
    };
    let audience = written.jwt_audience.as_deref().unwrap_or_default();
    TokenVerifier::new(&Redacted::new(bytes), &written.jwt_user_claim, audience)
        .map(Some)
        .map_err(|error| Error::secret(key, error.to_string()))
}
