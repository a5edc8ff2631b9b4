//! Whom a request outside dialogs is from and for, as its trunk and our registrations say.

use super::agent::UserAgent;
use super::incoming_request::IncomingRequest;
use crate::sip::stack::number::number_of;
use crate::sip::trunk::called::{Called, CalledNumber, called};
use crate::sip::trunk::config::Trunk;
use crate::sip::trunk::identity::{Caller, caller};
use crate::sip::trunk::policy::IdentityPolicy;
use crate::sip::trunk::registrations::RegistrationEntry;

/// Whom a request is from and for.
pub(super) struct Parties<'a> {
    /// The trunk that it belongs to.
    pub trunk: Option<&'a Trunk>,
    /// The registration whose Contact it was sent to.
    pub registration: Option<&'a RegistrationEntry>,
    /// What only the trunk itself may say: absent where the source is not known to be it.
    pub policy: Option<&'a IdentityPolicy>,
    pub caller: Caller,
    pub called: Called,
    /// What the request URI says who is called: of a Contact that we registered the registered
    /// user.
    pub requested: String,
}

impl Parties<'_> {
    /// The account that is called by its own registration.
    pub fn account(&self) -> Option<String> {
        self.registration.and_then(|entry| entry.account.clone())
    }
}

impl UserAgent {
    pub(super) fn parties(&self, incoming: &IncomingRequest) -> Parties<'_> {
        let (request, envelope) = (&incoming.request, &incoming.envelope);
        let trunk = incoming.trunk();
        let registration = self.registrations.called(&request.uri, trunk);
        let trunk = trunk.map(|index| &self.config.trunks[index]);
        let verified = incoming.verified_trunk().is_some();
        let policy = trunk.filter(|_| verified).map(|trunk| &trunk.identity);
        let requested = match registration {
            Some(entry) => entry.user.clone(),
            None => number_of(&request.uri),
        };
        let by = policy.map_or(CalledNumber::default(), |policy| policy.network.called);
        let own = registration.is_some_and(|entry| entry.account.is_none());
        let (to, headers) = (&envelope.to.uri, &request.headers);
        Parties {
            trunk,
            registration,
            policy,
            caller: caller(policy, &envelope.from, headers),
            called: called(by, requested.clone(), own, to, headers),
            requested,
        }
    }
}
