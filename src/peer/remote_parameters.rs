//! The ICE and DTLS parameters that the other end's descriptions agreed on: what later ones may
//! change (ICE credentials, by a restart of ours) and what they must not (RFC 8842 section 5.5).

use super::ice::IceCredentials;
use super::{Error, certificate};
use crate::sdp::{Fingerprint, IceDtlsParameters, Setup};

/// What the other end said of itself.
pub(super) struct RemoteParameters {
    ice: IceCredentials,
    /// Its answer to a restart of ours that is under way.
    restarted: Option<IceCredentials>,
    fingerprints: Vec<Fingerprint>,
    /// Our role, which follows from its.
    pub(super) setup: Setup,
}

impl RemoteParameters {
    pub(super) fn new(ice: IceCredentials, fingerprints: Vec<Fingerprint>, setup: Setup) -> Self {
        RemoteParameters {
            ice,
            restarted: None,
            fingerprints,
            setup,
        }
    }

    /// Compares a later description, which has to name the same end in the same role. The new ICE
    /// credentials, where it answers a restart of ours for the first time.
    pub(super) fn update(
        &mut self,
        remote: IceDtlsParameters,
        is_restarting: bool,
    ) -> Result<Option<IceCredentials>, Error> {
        let known =
            |ice: &IceCredentials| remote.ufrag == ice.ufrag && remote.pwd == *ice.pwd.reveal();
        let restarted = self.restarted.as_ref().filter(|_| is_restarting);
        let unchanged = known(&self.ice) || restarted.is_some_and(known);
        // RFC 8445 section 9: both change.
        let changed = remote.ufrag != self.ice.ufrag && remote.pwd != *self.ice.pwd.reveal();
        if !unchanged && (!is_restarting || restarted.is_some() || !changed) {
            return Err(Error::IceRestart);
        }
        if certificate::usable(remote.fingerprints)? != self.fingerprints {
            return Err(Error::FingerprintChanged);
        }
        if remote.setup == self.setup {
            // Both ends in the same role.
            return Err(Error::Setup(remote.setup));
        }
        if unchanged {
            return Ok(None);
        }
        let credentials = IceCredentials::of_remote(remote.ufrag, remote.pwd)?;
        self.restarted = Some(credentials.clone());
        Ok(Some(credentials))
    }

    /// A restart of ours begins, perhaps in place of one that is under way.
    pub(super) fn restart_ice(&mut self) {
        self.restarted = None;
    }

    /// The restart took effect: the credentials before are no longer valid.
    pub(super) fn ice_restarted(&mut self) {
        if let Some(restarted) = self.restarted.take() {
            self.ice = restarted;
        }
    }
}
