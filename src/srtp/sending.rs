//! One direction out: a key and how far its streams have come.

use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;

use super::profile::profile;
use super::{Error, Packet};
use crate::srtp_keys::MasterKey;

/// A key that we send under.
pub(super) struct Sending {
    key: MasterKey,
    context: Context,
}

impl Sending {
    pub(super) fn new(key: MasterKey, provider: &dyn RTCCryptoProvider) -> Result<Self, Error> {
        let context = Context::new(
            key.key(),
            key.salt(),
            profile(key.suite()),
            None,
            None,
            provider.crypto(),
        )
        .map_err(|error| Error::Key(error.to_string()))?;
        Ok(Sending { key, context })
    }

    pub(super) fn key(&self) -> MasterKey {
        self.key
    }

    /// Leaves the protected packet in `secured`.
    pub(super) fn protect(
        &mut self,
        packet: Packet,
        plain: &[u8],
        secured: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let result = match packet {
            Packet::Rtp => self.context.encrypt_rtp(plain),
            Packet::Rtcp => self.context.encrypt_rtcp(plain),
        };
        let encrypted = result.map_err(|_| Error::Packet)?;
        secured.clear();
        secured.extend_from_slice(&encrypted);
        Ok(())
    }
}
