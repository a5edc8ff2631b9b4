//! Why a packet was not taken.

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It came before.
    Replayed,
    /// It was not made with the key, or is no packet.
    Forged,
}
