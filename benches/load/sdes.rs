//! SRTP between the contender and the PBX, by keys in SDP (RFC 4568).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rtc_srtp::config::SessionKeys;
use rtc_srtp::protection_profile::ProtectionProfile;

/// What the gateway offers first, and most PBXs know.
pub const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
/// The same for a context.
pub const PROFILE: ProtectionProfile = ProtectionProfile::Aes128CmHmacSha1_80;
/// Octets of the master key and of the salt (RFC 4568 section 6.2.1).
const KEY: usize = 16;
const SALT: usize = 14;

/// Answers the gateway's offer: the attribute for the answer, and the keys of the PBX's side.
pub fn answer(offer: &str) -> (String, SessionKeys) {
    let (tag, key) = offer
        .lines()
        .filter_map(|line| line.trim().strip_prefix("a=crypto:"))
        .find_map(|line| {
            let (tag, rest) = line.split_once(' ')?;
            let key = rest.strip_prefix(SUITE)?.trim().strip_prefix("inline:")?;
            Some((tag, key.split(['|', ' ']).next()?))
        })
        .expect("the gateway offers the suite");
    let remote = STANDARD.decode(key).expect("a key in base64");
    assert_eq!(remote.len(), KEY + SALT, "the gateway's key and salt");
    let local: [u8; KEY + SALT] = rand::random();
    let attribute = format!(
        "a=crypto:{tag} {SUITE} inline:{}\r\n",
        STANDARD.encode(local)
    );
    let keys = SessionKeys {
        local_master_key: local[..KEY].to_vec(),
        local_master_salt: local[KEY..].to_vec(),
        remote_master_key: remote[..KEY].to_vec(),
        remote_master_salt: remote[KEY..].to_vec(),
    };
    (attribute, keys)
}
