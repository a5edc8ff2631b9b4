//! Our DTLS certificate, and the check of the other end's against its fingerprint.

use std::fmt::Write as _;

use rtc_dtls::crypto::Certificate as DtlsCertificate;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::Error;
use crate::sdp::Fingerprint;

/// A certificate with its private key. One serves every call of a process.
pub struct Certificate {
    dtls: DtlsCertificate,
    fingerprint: String,
    digest: Vec<u8>,
}

impl Certificate {
    /// Makes a self-signed certificate with a new ECDSA P-256 key, as browsers do.
    pub fn generate() -> Result<Self, Error> {
        let provider = provider()?;
        DtlsCertificate::generate_self_signed(vec!["trunkline".to_owned()], provider.crypto())
            .map_err(|error| Error::CertificateGeneration(error.to_string()))
            .and_then(Self::new)
    }

    /// Reads a certificate (chain) and its PKCS#8 key, both PEM.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, Error> {
        let provider = provider()?;
        // The parser wants the key first, and the underscore that the standard tag lacks.
        let joined = format!(
            "{}\n{cert}",
            key.replace("PRIVATE KEY-----", "PRIVATE_KEY-----")
        );
        DtlsCertificate::from_pem(&joined, provider.crypto())
            .map_err(|error| Error::CertificateParse(error.to_string()))
            .and_then(Self::new)
    }

    fn new(dtls: DtlsCertificate) -> Result<Self, Error> {
        let der = dtls
            .certificate
            .first()
            .ok_or_else(|| Error::CertificateParse("no certificate".to_owned()))?;
        let digest = Sha256::digest(der).to_vec();
        let mut fingerprint = String::from("sha-256 ");
        for (index, byte) in digest.iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(fingerprint, "{separator}{byte:02X}").expect("writing to a string succeeds");
        }
        Ok(Certificate {
            dtls,
            fingerprint,
            digest,
        })
    }

    /// The value of `a=fingerprint`: `sha-256 AB:CD:...` (RFC 8122 section 5).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The same as a value of a description.
    pub(super) fn description(&self) -> Fingerprint {
        Fingerprint {
            hash: "sha-256".to_owned(),
            value: self.digest.clone(),
        }
    }

    pub(super) fn dtls(&self) -> DtlsCertificate {
        self.dtls.clone()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The source of cryptography and randomness that every part shares.
pub(super) fn provider() -> Result<std::sync::Arc<dyn rtc_crypto::RTCCryptoProvider>, Error> {
    rtc_crypto::default_provider().map_err(|error| Error::Crypto(error.to_string()))
}

/// The fingerprints that may vouch for a certificate. SHA-1 and weaker may not: a second
/// certificate with the same hash can be made (RFC 8122 section 5 leaves it to policy).
pub(super) fn usable(fingerprints: Vec<Fingerprint>) -> Result<Vec<Fingerprint>, Error> {
    let offered = fingerprints.iter().map(|f| f.hash.clone()).collect();
    let usable: Vec<Fingerprint> = fingerprints
        .into_iter()
        .filter(|fingerprint| {
            let length = match fingerprint.hash.to_ascii_lowercase().as_str() {
                "sha-256" => 32,
                "sha-384" => 48,
                "sha-512" => 64,
                _ => return false,
            };
            fingerprint.value.len() == length
        })
        .collect();
    if usable.is_empty() {
        return Err(Error::NoUsableFingerprint { offered });
    }
    Ok(usable)
}

/// Whether one of the fingerprints is this DER certificate's.
pub(super) fn matches(fingerprints: &[Fingerprint], der: &[u8]) -> bool {
    fingerprints.iter().any(|fingerprint| {
        let digest = match fingerprint.hash.to_ascii_lowercase().as_str() {
            "sha-256" => Sha256::digest(der).to_vec(),
            "sha-384" => Sha384::digest(der).to_vec(),
            "sha-512" => Sha512::digest(der).to_vec(),
            _ => return false,
        };
        digest == fingerprint.value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trusted_hash_vouches_and_sha_1_does_not() {
        let der = b"certificate";
        let of = |hash: &str, value: Vec<u8>| Fingerprint {
            hash: hash.to_owned(),
            value,
        };
        for fingerprint in [
            of("sha-256", Sha256::digest(der).to_vec()),
            of("SHA-384", Sha384::digest(der).to_vec()),
            of("sha-512", Sha512::digest(der).to_vec()),
        ] {
            let usable = usable(vec![fingerprint]).expect("the hash is trusted");
            assert!(matches(&usable, der));
            assert!(!matches(&usable, b"another"));
        }
        assert!(matches!(
            usable(vec![of("sha-1", vec![0; 20])]),
            Err(Error::NoUsableFingerprint { .. })
        ));
        assert!(
            usable(vec![of("sha-256", vec![0; 31])]).is_err(),
            "cut short"
        );
    }

    #[test]
    fn a_generated_certificate_survives_pem() {
        let made = Certificate::generate().expect("a certificate");
        let pem = made.dtls.serialize_pem().expect("pem");
        let at = pem.find("-----BEGIN CERT").expect("a certificate block");
        let (key, cert) = pem.split_at(at);
        let key = key.replace("PRIVATE_KEY", "PRIVATE KEY");
        let read = Certificate::from_pem(cert, &key).expect("the same certificate");
        assert_eq!(read.fingerprint(), made.fingerprint());
        assert_eq!(read.fingerprint().len(), "sha-256 ".len() + 32 * 3 - 1);
        assert!(Certificate::from_pem("nonsense", &key).is_err());
    }
}
