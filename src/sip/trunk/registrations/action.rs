//! What the owner of [`Registrations`](super::Registrations) does and tells.

use crate::sip::trunk::event::RegistrationState;

/// Names one registration as long as the user agent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId(pub usize);

/// Something to do, or to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationAction {
    /// Send a REGISTER ([`Registrations::request`](super::Registrations::request)) for so many
    /// seconds; 0 takes the registration back. Say what came of it.
    Send { id: RegistrationId, expires: u32 },
    /// A registration has another state.
    Tell {
        id: RegistrationId,
        before: RegistrationState,
        state: RegistrationState,
    },
}
