//! The keys of media out of a finished handshake (RFC 5764 section 4.2).

use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;

use crate::srtp_keys::{CryptoSuite, MasterKey, SrtpKeys};

/// The label that the keys are exported under.
const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// What the handshake agreed on; `None` where its profile is none of ours.
pub(super) fn srtp_keys(state: &State, client: bool) -> Option<SrtpKeys> {
    let suite = match state.srtp_protection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => CryptoSuite::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => CryptoSuite::Aes128CmSha1_80,
        _ => return None,
    };
    let exported = state
        .export_keying_material(LABEL, &[], 2 * suite.master_length())
        .ok()?;
    let [of_client, of_server] = masters(suite, exported.as_ref())?;
    let (send, receive) = match client {
        true => (of_client, of_server),
        false => (of_server, of_client),
    };
    Some(SrtpKeys { send, receive })
}

/// Client's key, server's key, client's salt, server's salt: the client's and the server's.
fn masters(suite: CryptoSuite, exported: &[u8]) -> Option<[MasterKey; 2]> {
    let (keys, salts) = exported.split_at_checked(2 * suite.key_length())?;
    let (client_key, server_key) = keys.split_at_checked(suite.key_length())?;
    let (client_salt, server_salt) = salts.split_at_checked(suite.salt_length())?;
    Some([
        MasterKey::new(suite, &[client_key, client_salt].concat())?,
        MasterKey::new(suite, &[server_key, server_salt].concat())?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_before_salts_and_the_client_before_the_server() {
        let suite = CryptoSuite::AeadAes128Gcm;
        let exported: Vec<u8> = (0..56).collect();
        let [client, server] = masters(suite, &exported).expect("the right length");
        assert_eq!(client.key(), &exported[..16]);
        assert_eq!(server.key(), &exported[16..32]);
        assert_eq!(client.salt(), &exported[32..44]);
        assert_eq!(server.salt(), &exported[44..]);
        assert_eq!(masters(suite, &exported[1..]), None);
    }
}
