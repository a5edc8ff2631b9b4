//! SRTP contexts of this side of a leg, the browser's or the PBX's.

use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::config::SessionKeys;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// The context that protects what we send.
pub fn outgoing(
    profile: ProtectionProfile,
    keys: &SessionKeys,
    provider: &dyn RTCCryptoProvider,
) -> Context {
    let (key, salt) = (&keys.local_master_key, &keys.local_master_salt);
    Context::new(key, salt, profile, None, None, provider.crypto()).expect("keys that fit")
}

/// The context that opens what we receive.
pub fn incoming(
    profile: ProtectionProfile,
    keys: &SessionKeys,
    provider: &dyn RTCCryptoProvider,
) -> Context {
    let (key, salt) = (&keys.remote_master_key, &keys.remote_master_salt);
    let rtp = Some(srtp_replay_protection(128));
    let rtcp = Some(srtcp_replay_protection(128));
    Context::new(key, salt, profile, rtp, rtcp, provider.crypto()).expect("keys that fit")
}
