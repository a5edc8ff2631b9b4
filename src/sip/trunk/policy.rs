//! What an operator says of a trunk beside its address: how callers and networks are named, what
//! becomes of a 3xx.

use super::called::CalledNumber;

/// Which header carries our caller's number beside From.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CarriedBy {
    /// None: From alone.
    #[default]
    From,
    /// P-Asserted-Identity (RFC 3325 section 9.1).
    Asserted,
    /// P-Preferred-Identity (RFC 3325 section 9.2).
    Preferred,
    /// P-Preferred-Identity with the first of the identities that the registrar associated with
    /// our registration (RFC 7315 section 4.1); our own where it named none.
    Associated,
    /// Remote-Party-ID, which never became an RFC.
    RemoteParty,
}

/// How a trunk speaks of callers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityPolicy {
    /// In our INVITEs.
    pub carried_by: CarriedBy,
    /// The trunk is inside our trust domain (RFC 3325 section 2.3): its assertions are believed,
    /// and it is told who an anonymous caller is.
    pub trusted: bool,
    /// Names of headers of its INVITEs that the called page sees.
    pub passed_headers: Vec<String>,
    /// What is said of networks.
    pub network: NetworkPolicy,
}

/// What becomes of one of these headers in our requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Carriage {
    /// It is not written.
    #[default]
    Remove,
    /// The owner's is written: a page's.
    Pass,
    /// This is written.
    Set(String),
}

/// What a trunk is told of networks, and tells of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// P-Access-Network-Info.
    pub access: Carriage,
    /// P-Visited-Network-ID.
    pub visited: Carriage,
    /// P-Charging-Vector; one without `icid-value` gets one.
    pub charging: Carriage,
    /// Where the number that its requests are for stands.
    pub called: CalledNumber,
}

/// What becomes of a 3xx to our INVITE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RedirectPolicy {
    /// The call ends, its owner learns the new address.
    #[default]
    Pass,
    /// The new addresses are tried; the owner sees one attempt.
    Follow,
}
