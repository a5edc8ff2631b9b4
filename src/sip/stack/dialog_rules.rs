//! How the dialogs with a peer are kept: reliable provisional responses, session timers, new offers.

/// How the dialogs with a peer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialogRules {
    /// Reliable provisional answers (RFC 3262).
    pub prack: Prack,
    /// Session interval that we ask for, seconds (RFC 4028); 0 asks for none.
    pub session_expires: u32,
    /// Shortest session interval that we agree to, seconds.
    pub min_session_expires: u32,
    /// New offers of ours go by UPDATE where the peer allows it, not by re-INVITE.
    pub offer_by_update: bool,
}

impl Default for DialogRules {
    fn default() -> Self {
        DialogRules {
            prack: Prack::Supported,
            session_expires: 0,
            min_session_expires: 90,
            offer_by_update: false,
        }
    }
}

/// What a peer is told of reliable provisional answers (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prack {
    /// Nothing; a call that requires them is refused with 420.
    Off,
    /// That we can. Ours are reliable where the peer requires it, or supports it and the answer
    /// carries SDP.
    Supported,
    /// That we must have them; a call from a peer that cannot is refused with 421.
    Required,
}
