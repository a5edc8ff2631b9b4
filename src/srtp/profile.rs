//! What `rtc-srtp` calls the suites.

use rtc_srtp::protection_profile::ProtectionProfile;

use crate::srtp_keys::CryptoSuite;

/// The library's name of a suite.
pub(super) const fn profile(suite: CryptoSuite) -> ProtectionProfile {
    match suite {
        CryptoSuite::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        CryptoSuite::Aes128CmSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
        CryptoSuite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
    }
}
