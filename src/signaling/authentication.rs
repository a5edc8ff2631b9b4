//! From the opening of a connection to `welcome`: who is there.

use tokio::time::timeout;

use super::connection::{Connection, Disconnect};
use super::json::{ClientMessage, VERSION};
use super::sign_in::{Credentials, SignedIn};
use crate::call::Refusal;
use crate::redacted::Redacted;

/// Lets the client say who it is. A refusal of wrong credentials is held back for a while; that
/// time is none of those in which the client has to say something.
pub(super) async fn authenticate(connection: &mut Connection) -> Result<SignedIn, Disconnect> {
    let limit = connection.door.limits.hello;
    let Ok(credentials) = timeout(limit, credentials(connection)).await else {
        metrics::counter!("trunkline_sockets_refused_total", "reason" => "silent").increment(1);
        connection.note("silent", "", "");
        return Err(Disconnect::Close("idle", 1008));
    };
    let credentials = credentials?;
    let door = connection.door.clone();
    let client = &connection.client;
    match door.attempts.identify(&door.sign_in, &credentials, client) {
        Ok(signed_in) => Ok(signed_in),
        Err(refused) => {
            // A name may be a password in the wrong field, so only those that we know are logged.
            let user = credentials.user.as_deref().unwrap_or_default();
            let known = door.sign_in.users.contains_key(user);
            connection.note_refusal(&refused, if known { user } else { "" });
            if refused.is_guess {
                door.attempts.hold(client.address.ip()).await;
            }
            connection.refuse_credentials(&refused.error).await?;
            Err(Disconnect::Close("error", 1008))
        }
    }
}

/// What the client shows in its `hello`.
async fn credentials(connection: &mut Connection) -> Result<Credentials, Disconnect> {
    loop {
        let Some(message) = connection.read().await? else {
            continue;
        };
        let ClientMessage::Hello {
            version,
            user,
            password,
            token,
        } = message
        else {
            connection
                .refuse(Refusal::NotSignedIn, "the first message is hello", None)
                .await?;
            continue;
        };
        if version != VERSION {
            connection
                .refuse(
                    Refusal::UnsupportedVersion,
                    "this gateway speaks version 1",
                    None,
                )
                .await?;
            return Err(Disconnect::Close("error", 1002));
        }
        return Ok(Credentials {
            user,
            password: password.map(Redacted::new),
            token: token.map(Redacted::new),
        });
    }
}
