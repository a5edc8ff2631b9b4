//! JSON Web Tokens (RFC 7519): whose are believed, for whom, and until when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::Error;
use super::identity::{Identity, is_user_name};
use crate::redacted::Redacted;

/// Fewest bytes of an HS256 secret (RFC 7518 section 3.2: as long as the hash).
const LEAST_SECRET: usize = 32;

/// Seconds that the clock of a token's issuer may be ahead of ours (`nbf`). `exp` has no such
/// tolerance: the session ends in that second.
const CLOCK_TOLERANCE: u64 = 30;

/// How long a session may last whose token says more.
const LONGEST_SESSION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Verifies JSON Web Tokens. One key, one algorithm: the token's own header chooses nothing.
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
    user_claim: String,
}

/// What a token says of its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Who.
    pub identity: Identity,
    /// Until when (`exp`).
    pub expires: SystemTime,
}

impl TokenVerifier {
    /// `key` is a PEM public key (RS256, ES256) or a shared secret of at least 32 bytes (HS256; a
    /// line feed at its end is not part of it). Tokens must have `exp`, and `audience` in `aud`.
    pub fn new(key: &Redacted<Vec<u8>>, user_claim: &str, audience: &str) -> Result<Self, Error> {
        let (key, algorithm) = read_key(key.reveal())?;
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.set_audience(&[audience]);
        validation.validate_nbf = true;
        validation.leeway = CLOCK_TOLERANCE;
        Ok(TokenVerifier {
            key,
            validation,
            user_claim: user_claim.to_owned(),
        })
    }

    /// The user whom `token` names, true or not: for counting attempts, nothing else.
    pub(super) fn claimed_user(&self, token: &str) -> Option<String> {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        let user = claims.get(&self.user_claim)?.as_str()?;
        is_user_name(user).then(|| user.to_owned())
    }

    /// Who bears `token` at the time `now`.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Bearer, Error> {
        // We understand no extension of the header, so none may be critical (RFC 7515 4.1.11).
        if has_critical_header(token) {
            return Err(Error::Unauthorized);
        }
        let decoded = jsonwebtoken::decode::<serde_json::Value>(token, &self.key, &self.validation);
        let claims = match decoded {
            Ok(decoded) => decoded.claims,
            // The signature was right: this is no guess.
            Err(error)
                if matches!(
                    error.kind(),
                    jsonwebtoken::errors::ErrorKind::ExpiredSignature
                ) =>
            {
                return Err(Error::TokenExpired);
            }
            Err(_) => return Err(Error::Unauthorized),
        };
        let expires = expiry(&claims, now).ok_or(Error::Unauthorized)?;
        if expires <= now {
            return Err(Error::TokenExpired);
        }
        let user = claims.get(&self.user_claim).and_then(|user| user.as_str());
        let user = user
            .filter(|user| is_user_name(user))
            .ok_or(Error::Unauthorized)?;
        let display_name = claims.get("name").and_then(|name| name.as_str());
        Ok(Bearer {
            identity: Identity {
                user: user.to_owned(),
                display_name: display_name.map(str::to_owned),
            },
            expires,
        })
    }
}

/// The key, and the one algorithm that tokens must be signed with.
fn read_key(bytes: &[u8]) -> Result<(DecodingKey, Algorithm), Error> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if text.contains("-----BEGIN") {
        if text.contains("PRIVATE KEY") {
            return Err(Error::PrivateTokenKey);
        }
        return DecodingKey::from_ec_pem(bytes)
            .map(|key| (key, Algorithm::ES256))
            .or_else(|_| DecodingKey::from_rsa_pem(bytes).map(|key| (key, Algorithm::RS256)))
            .map_err(|source| Error::TokenKey { source });
    }
    let end = bytes
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |last| last + 1);
    let secret = &bytes[..end];
    if secret.len() < LEAST_SECRET || secret.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::ShortTokenKey {
            bytes: secret.len(),
        });
    }
    Ok((DecodingKey::from_secret(secret), Algorithm::HS256))
}

fn has_critical_header(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    serde_json::from_slice::<serde_json::Value>(&header)
        .is_ok_and(|header| header.get("crit").is_some())
}

/// `exp`, which may have a fraction (RFC 7519 section 2, NumericDate).
fn expiry(claims: &serde_json::Value, now: SystemTime) -> Option<SystemTime> {
    let seconds = claims.get("exp")?.as_f64()?;
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    // Beyond what a clock can say, a hundred years are enough.
    let latest = now.checked_add(LONGEST_SESSION)?;
    let since = Duration::try_from_secs_f64(seconds).ok();
    let expires = since.and_then(|since| UNIX_EPOCH.checked_add(since));
    Some(expires.unwrap_or(latest).min(latest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: u64 = 1_900_000_000;

    #[expect(
        clippy::disallowed_methods,
        reason = "jsonwebtoken reads the clock, tokens of the tests must fit it"
    )]
    fn now() -> SystemTime {
        SystemTime::now()
    }

    fn seconds() -> u64 {
        let since = now().duration_since(UNIX_EPOCH);
        since.expect("after 1970").as_secs()
    }

    fn verifier(key: &str) -> Result<TokenVerifier, Error> {
        let key = Redacted::new(key.as_bytes().to_vec());
        TokenVerifier::new(&key, "sub", "trunkline")
    }

    fn signed(header: &serde_json::Value, claims: &serde_json::Value, secret: &str) -> String {
        use hmac::{Hmac, KeyInit, Mac};
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
        mac.update(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    fn hs256() -> serde_json::Value {
        serde_json::json!({"alg": "HS256", "typ": "JWT"})
    }

    #[test]
    fn token_with_exp_and_aud_names_its_bearer() {
        let exp = seconds() + 600;
        for aud in [
            serde_json::json!("trunkline"),
            serde_json::json!(["billing", "trunkline"]),
        ] {
            let claims = serde_json::json!({"sub": "dave", "name": "Dave", "exp": exp, "aud": aud});
            let token = signed(&hs256(), &claims, SECRET);
            let verifier = verifier(SECRET).expect("a key");
            let bearer = verifier.verify(&token, now()).expect("a good token");
            assert_eq!(bearer.identity.user, "dave");
            assert_eq!(bearer.identity.display_name.as_deref(), Some("Dave"));
            assert_eq!(bearer.expires, UNIX_EPOCH + Duration::from_secs(exp));
        }
    }

    #[test]
    fn claimed_user_is_read_from_any_token_and_is_a_name() {
        let verifier = verifier(SECRET).expect("a key");
        let claimed = |sub: serde_json::Value| {
            let claims = serde_json::json!({ "sub": sub });
            verifier.claimed_user(&signed(&hs256(), &claims, "another secret"))
        };
        assert_eq!(claimed("dave".into()).as_deref(), Some("dave"));
        for no_name in ["", "guest-1", "a b", &"x".repeat(65)] {
            assert_eq!(claimed(no_name.into()), None, "{no_name}");
        }
        assert_eq!(claimed(7.into()), None);
        for no_token in ["", "x", "x.y.z", "..", "x.bm90IEpTT04.z"] {
            assert_eq!(verifier.claimed_user(no_token), None, "{no_token}");
        }
    }

    #[test]
    fn token_without_its_claims_is_refused() {
        let exp = seconds() + 600;
        let later = seconds() + 300;
        let good = serde_json::json!({"sub": "dave", "exp": exp, "aud": "trunkline"});
        let with = |key: &str, value: serde_json::Value| {
            let mut claims = good.clone();
            claims[key] = value;
            claims
        };
        let without = |key: &str| {
            let mut claims = good.clone();
            claims.as_object_mut().expect("an object").remove(key);
            claims
        };
        let verifier = verifier(SECRET).expect("a key");
        for claims in [
            without("aud"),
            without("exp"),
            without("sub"),
            with("aud", "billing".into()),
            with("aud", serde_json::json!([])),
            with("aud", serde_json::json!(null)),
            with("aud", 42.into()),
            with("aud", "Trunkline".into()),
            with("nbf", later.into()),
            with("nbf", "soon".into()),
            with("exp", exp.to_string().into()),
            with("exp", (-5).into()),
            with("sub", "a@b".into()),
            with("sub", "guest-1".into()),
            with("sub", "GUEST-1".into()),
            with("sub", "".into()),
            with("sub", 7.into()),
        ] {
            let token = signed(&hs256(), &claims, SECRET);
            let refused = verifier.verify(&token, now());
            assert!(matches!(refused, Err(Error::Unauthorized)), "{claims}");
        }
        for exp in [1, seconds() - 90, seconds() - 1] {
            let token = signed(&hs256(), &with("exp", exp.into()), SECRET);
            let refused = verifier.verify(&token, now());
            assert!(matches!(refused, Err(Error::TokenExpired)), "{exp}");
        }
        let just_issued = with("nbf", (seconds() + 5).into());
        let token = signed(&hs256(), &just_issued, SECRET);
        assert!(verifier.verify(&token, now()).is_ok(), "clocks differ");
    }

    #[test]
    fn token_header_chooses_neither_algorithm_nor_extensions() {
        let claims = serde_json::json!({"sub": "dave", "exp": seconds() + 600, "aud": "trunkline"});
        let verifier = verifier(SECRET).expect("a key");
        for header in [
            serde_json::json!({"alg": "none"}),
            serde_json::json!({"alg": "HS512"}),
            serde_json::json!({"alg": "RS256"}),
            serde_json::json!({"alg": "hs256"}),
            serde_json::json!({"alg": "HS256", "crit": ["exp"], "exp": 1}),
            serde_json::json!({"alg": "HS256", "crit": []}),
            serde_json::json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        ] {
            let token = signed(&header, &claims, SECRET);
            assert!(verifier.verify(&token, now()).is_err(), "{header}");
        }
        let other = signed(&hs256(), &claims, "another secret of thirty-two byte");
        assert!(verifier.verify(&other, now()).is_err());
        let unsigned = signed(&hs256(), &claims, SECRET);
        let unsigned = &unsigned[..=unsigned.rfind('.').expect("three parts")];
        assert!(verifier.verify(unsigned, now()).is_err());
    }

    #[test]
    fn token_signed_with_the_public_key_as_secret_is_refused() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let public = key.public_key_pem();
        let claims = serde_json::json!({"sub": "dave", "exp": seconds() + 600, "aud": "trunkline"});
        let verifier = verifier(&public).expect("a public key");
        let confused = signed(&hs256(), &claims, &public);
        assert!(verifier.verify(&confused, now()).is_err());
        let private = jsonwebtoken::EncodingKey::from_ec_pem(key.serialize_pem().as_bytes());
        let header = jsonwebtoken::Header::new(Algorithm::ES256);
        let token = jsonwebtoken::encode(&header, &claims, &private.expect("its private key"));
        let bearer = verifier.verify(&token.expect("signed"), now());
        assert_eq!(bearer.expect("a good token").identity.user, "dave");
    }

    #[test]
    fn key_that_is_short_or_private_is_refused() {
        for short in ["", "k", "\n\n", "0123456789abcdef0123456789abcde\n"] {
            let refused = verifier(short).err();
            assert!(
                matches!(refused, Some(Error::ShortTokenKey { .. })),
                "{short:?}"
            );
        }
        assert!(verifier(&" ".repeat(40)).is_err());
        let with_line_feed = verifier(&format!("{SECRET}\n")).expect("a file ends so");
        let claims = serde_json::json!({"sub": "dave", "exp": seconds() + 600, "aud": "trunkline"});
        let token = signed(&hs256(), &claims, SECRET);
        assert!(with_line_feed.verify(&token, now()).is_ok());
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let refused = verifier(&key.serialize_pem()).err();
        assert!(matches!(refused, Some(Error::PrivateTokenKey)));
        let broken = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        assert!(verifier(broken).is_err());
    }

    #[test]
    fn token_without_end_ends_in_a_hundred_years() {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        for (exp, expected) in [
            (serde_json::json!(NOW + 5), Some(Duration::from_secs(5))),
            (serde_json::json!(1e300), Some(LONGEST_SESSION)),
            (serde_json::json!(u64::MAX), Some(LONGEST_SESSION)),
            (serde_json::json!(-1.0), None),
            (serde_json::json!("1"), None),
        ] {
            let read = expiry(&serde_json::json!({ "exp": exp }), now);
            assert_eq!(read, expected.map(|left| now + left), "{exp}");
        }
    }
}
