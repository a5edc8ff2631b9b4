//! Whom a TLS connection must lead to (RFC 5922 section 7): the name that the peer's certificate
//! has to bear.

use std::collections::HashMap;
use std::sync::Arc;

/// Names that peers make us call in their Contacts; beyond it the table begins anew.
const DOMAINS: usize = 4_096;

/// A name and on whose behalf it is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Domain or IP address, in lower case.
    pub name: String,
    /// Index of the configured peer whose certificate and trust apply; without one the peer is verified
    /// by the authorities and shown no certificate.
    pub peer: Option<usize>,
}

/// A [`Domain`] in the table of its user agent: small enough to travel with every flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DomainId(u32);

/// The table.
#[derive(Debug, Default)]
pub struct Domains {
    ids: HashMap<Arc<Domain>, DomainId>,
    domains: HashMap<DomainId, Arc<Domain>>,
    last: u32,
}

impl Domains {
    /// The id of a domain, a new one for one that is not known.
    pub fn id(&mut self, domain: Domain) -> DomainId {
        if let Some(id) = self.ids.get(&domain) {
            return *id;
        }
        if self.ids.len() >= DOMAINS {
            // A flow of before finds no name any more: its connection serves while it lasts.
            self.ids.clear();
            self.domains.clear();
        }
        self.last = self.last.wrapping_add(1);
        let (id, domain) = (DomainId(self.last), Arc::new(domain));
        self.ids.insert(domain.clone(), id);
        self.domains.insert(id, domain.clone());
        id
    }

    /// What an id stands for.
    pub fn get(&self, id: DomainId) -> Option<&Arc<Domain>> {
        self.domains.get(&id)
    }
}
