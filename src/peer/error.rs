//! What can be wrong with what the owner of a [`Peer`](super::Peer) hands to it. Network bytes
//! are never an error: they are dropped with a [`Drop`](super::Drop) reason.

/// Why a peer could not be made, or a description not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate could be made.
    #[error("certificate could not be made: {0}")]
    CertificateGeneration(String),
    /// The given certificate or key does not parse.
    #[error("certificate or key not usable, expected PEM with a PKCS#8 key: {0}")]
    CertificateParse(String),
    /// The machine's source of randomness or cryptography failed.
    #[error("cryptography provider failed: {0}")]
    Crypto(String),
    /// There is nowhere to receive.
    #[error("peer has no local candidate")]
    NoLocalCandidate,
    /// The description has no fingerprint of a hash function that is still trusted.
    #[error("no usable fingerprint among {offered:?}, expected sha-256, sha-384 or sha-512")]
    NoUsableFingerprint {
        /// The hash functions that the description names.
        offered: Vec<String>,
    },
    /// The ICE credentials break RFC 8839 section 5.4.
    #[error("ice credentials malformed: ufrag of {ufrag} characters, pwd of {pwd}")]
    IceCredentials {
        /// Length of the ufrag.
        ufrag: usize,
        /// Length of the pwd.
        pwd: usize,
    },
    /// `a=setup` contradicts the role of the description or the role in force.
    #[error("setup {0} is not possible here")]
    Setup(crate::sdp::Setup),
    /// A later description names another certificate.
    #[error("fingerprint changed in mid-call")]
    FingerprintChanged,
    /// A later description names other ICE credentials, and no restart of ours is under way that
    /// they could answer.
    #[error("ice credentials changed without a restart of ours")]
    IceRestart,
    /// ICE cannot restart before it began.
    #[error("ice restart before the other end's first description")]
    RestartTooEarly,
    /// The peer has failed or was closed.
    #[error("peer is closed")]
    Closed,
}
