//! Who a page is: anonymous, a user of the configuration, or the bearer of a JSON Web Token.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sha2::{Digest, Sha256};

use super::Error;
use crate::redacted::Redacted;

/// The longest user name, token or password that is looked at.
const LONGEST_CREDENTIAL: usize = 8 * 1024;

/// How pages may sign in.
#[derive(Default)]
pub struct SignIn {
    /// Whether a page may come in without credentials.
    pub anonymous: bool,
    /// The configuration's users by name.
    pub users: HashMap<String, StaticUser>,
    /// Whose tokens are believed.
    pub tokens: Option<TokenVerifier>,
}

/// A user of the configuration.
#[derive(Clone, Debug)]
pub struct StaticUser {
    /// The password.
    pub password: Redacted<String>,
    /// The name that called parties see.
    pub display_name: Option<String>,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name: what routes go by and what the PBX sees as the caller's number.
    pub user: String,
    /// The name that called parties see.
    pub display_name: Option<String>,
}

/// What a page shows.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user's name.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Redacted<String>>,
    /// A JSON Web Token.
    pub token: Option<Redacted<String>>,
}

/// Verifies JSON Web Tokens (RFC 7519).
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
    user_claim: String,
}

impl TokenVerifier {
    /// `key` is a PEM public key (RS256, ES256) or a shared secret (HS256). `exp` is required.
    pub fn new(
        key: &Redacted<String>,
        user_claim: &str,
        audience: Option<&str>,
    ) -> Result<Self, Error> {
        let text = key.reveal().as_str();
        let (key, algorithm) = if text.contains("-----BEGIN") {
            DecodingKey::from_ec_pem(text.as_bytes())
                .map(|key| (key, Algorithm::ES256))
                .or_else(|_| {
                    DecodingKey::from_rsa_pem(text.as_bytes()).map(|key| (key, Algorithm::RS256))
                })
                .map_err(|source| Error::TokenKey { source })?
        } else {
            (DecodingKey::from_secret(text.as_bytes()), Algorithm::HS256)
        };
        let mut validation = Validation::new(algorithm);
        match audience {
            Some(audience) => validation.set_audience(&[audience]),
            None => validation.validate_aud = false,
        }
        Ok(TokenVerifier {
            key,
            validation,
            user_claim: user_claim.to_owned(),
        })
    }

    fn verify(&self, token: &str) -> Option<Identity> {
        let claims = jsonwebtoken::decode::<serde_json::Value>(token, &self.key, &self.validation)
            .ok()?
            .claims;
        let user = claims.get(&self.user_claim)?.as_str()?;
        let display_name = claims
            .get("name")
            .and_then(|name| name.as_str())
            .map(str::to_owned);
        is_user_name(user).then(|| Identity {
            user: user.to_owned(),
            display_name,
        })
    }
}

impl SignIn {
    /// Who shows `credentials`; `guest` names those who show none. An unknown user and a wrong
    /// password are told alike, and take the same work.
    pub fn identify(&self, credentials: &Credentials, guest: &str) -> Result<Identity, Error> {
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
            return verifier.verify(token.reveal()).ok_or(Error::Unauthorized);
        }
        if let Some(password) = &credentials.password {
            let name = credentials.user.as_deref().unwrap_or_default();
            let user = self.users.get(name);
            let expected = user.map_or("", |user| user.password.reveal());
            // Digests are compared, so that the time says nothing about the password.
            let same = Sha256::digest(expected) == Sha256::digest(password.reveal());
            return match user {
                Some(user) if same => Ok(Identity {
                    user: name.to_owned(),
                    display_name: user.display_name.clone(),
                }),
                _ => Err(Error::Unauthorized),
            };
        }
        if !self.anonymous {
            return Err(Error::Unauthorized);
        }
        match &credentials.user {
            None => Ok(Identity {
                user: guest.to_owned(),
                display_name: None,
            }),
            Some(name) if is_user_name(name) && !self.users.contains_key(name) => Ok(Identity {
                user: name.clone(),
                display_name: None,
            }),
            Some(_) => Err(Error::Unauthorized),
        }
    }
}

/// What may stand in the user part of a SIP URI without escaping.
fn is_user_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: Option<&str>, password: Option<&str>, token: Option<&str>) -> Credentials {
        Credentials {
            user: user.map(str::to_owned),
            password: password.map(|password| Redacted::new(password.to_owned())),
            token: token.map(|token| Redacted::new(token.to_owned())),
        }
    }

    fn sign_in(anonymous: bool) -> SignIn {
        let alice = StaticUser {
            password: Redacted::new("wonderland".to_owned()),
            display_name: Some("Alice".to_owned()),
        };
        let tokens = TokenVerifier::new(&Redacted::new("s3cret".to_owned()), "sub", None)
            .expect("any secret is a key");
        SignIn {
            anonymous,
            users: HashMap::from([("alice".to_owned(), alice)]),
            tokens: Some(tokens),
        }
    }

    #[test]
    fn a_password_opens_its_own_user_only() {
        let sign_in = sign_in(false);
        let alice = sign_in.identify(
            &credentials(Some("alice"), Some("wonderland"), None),
            "guest",
        );
        assert_eq!(
            alice.expect("the right password").display_name.as_deref(),
            Some("Alice")
        );
        for wrong in [
            credentials(Some("alice"), Some("Wonderland"), None),
            credentials(Some("bob"), Some("wonderland"), None),
            credentials(Some("bob"), Some(""), None),
            credentials(None, Some(""), None),
            credentials(Some("alice"), None, None),
            credentials(None, None, None),
        ] {
            assert!(sign_in.identify(&wrong, "guest").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_guest_may_choose_a_free_name_only() {
        let sign_in = sign_in(true);
        let guest = sign_in
            .identify(&Credentials::default(), "guest-7")
            .expect("guests may");
        assert_eq!(guest.user, "guest-7");
        assert!(
            sign_in
                .identify(&credentials(Some("carol"), None, None), "g")
                .is_ok()
        );
        assert!(
            sign_in
                .identify(&credentials(Some("alice"), None, None), "g")
                .is_err()
        );
        assert!(
            sign_in
                .identify(&credentials(Some("a b"), None, None), "g")
                .is_err()
        );
    }

    #[test]
    fn a_token_is_believed_if_signed_and_in_date() {
        let sign_in = sign_in(false);
        let sign = |secret: &str, exp: u64| {
            let claims = serde_json::json!({ "sub": "dave", "name": "Dave", "exp": exp });
            let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("a token")
        };
        let far = 4_000_000_000;
        let good = sign_in.identify(&credentials(None, None, Some(&sign("s3cret", far))), "g");
        assert_eq!(good.expect("a good token").user, "dave");
        assert!(
            sign_in
                .identify(&credentials(None, None, Some(&sign("other", far))), "g")
                .is_err()
        );
        assert!(
            sign_in
                .identify(&credentials(None, None, Some(&sign("s3cret", 1))), "g")
                .is_err()
        );
        assert!(
            sign_in
                .identify(&credentials(None, None, Some("x.y.z")), "g")
                .is_err()
        );
    }
}
