//! The instance of one registration (RFC 5626 section 4.1).

use sha2::{Digest as _, Sha256};

use crate::sip::trunk::config::{Config, Registration};

/// The instance: the same after a restart, because it
/// comes from what lasts alone; another for each gateway, because it is installed elsewhere or
/// listens elsewhere. A version 8 UUID (RFC 9562 section 5.8).
pub fn instance(config: &Config, trunk: &str, registration: &Registration) -> String {
    let mut hash = Sha256::new();
    for listen in &config.listen {
        hash.update(format!("{} {} ", listen.transport, listen.address));
    }
    hash.update(config.advertised.map_or(String::new(), |ip| ip.to_string()));
    let installation = config.installation.as_ref();
    let installation = installation.map_or("", |named| named.reveal().as_str());
    for part in [trunk, &registration.user, installation] {
        hash.update([0]);
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
