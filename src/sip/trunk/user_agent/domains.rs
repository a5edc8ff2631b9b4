//! Whom a TLS connection must lead to (RFC 5922 section 7): the name that the peer's certificate
//! has to bear, taken from the configuration or the URI, never from a DNS answer.

use std::net::IpAddr;
use std::ops::Range;

use super::agent::UserAgent;
use super::owner::Owner;
use crate::sip::stack::domain::{Domain, DomainId};
use crate::sip::stack::envelope::canonical;
use crate::sip::stack::next_hop::NextHop;
use crate::sip::stack::transport_protocol::Transport;

impl UserAgent {
    /// Whom a request to this hop must reach. An address in a Contact is that of the trunk that
    /// lives there, and must prove the trunk's name: certificates seldom bear addresses. Whom a
    /// redirection has named is nobody's trunk, unless it is at home with the one that named it.
    pub(super) fn domain_of(&mut self, hop: &NextHop, owner: Owner) -> DomainId {
        let mut trunk = self.trunk_of_owner(owner);
        let leg = owner.leg().and_then(|leg| self.legs.get(&leg));
        let abroad = leg.is_some_and(|leg| leg.redirection.is_abroad() || !leg.verified);
        let others = if abroad {
            0..0
        } else {
            0..self.config.trunks.len()
        };
        let known = match hop.host.parse::<IpAddr>() {
            Ok(ip) => self.domain_at(ip, trunk, others),
            Err(_) => {
                let named = |index: usize| {
                    let trunk = self.config.trunks.get(index)?;
                    let mut targets = trunk.targets.iter().map(|target| &target.target.host);
                    targets
                        .any(|host| host.eq_ignore_ascii_case(&hop.host))
                        .then(|| self.domain_of_trunk(index, &hop.host))
                };
                trunk.into_iter().chain(others).find_map(named)
            }
        };
        if abroad {
            trunk = None;
        }
        let domain = known.unwrap_or_else(|| Domain {
            name: hop.host.to_ascii_lowercase(),
            peer: trunk,
        });
        self.domains.id(domain)
    }

    /// Who must be at the other end when an answer needs a connection of its own.
    pub(super) fn domain_to_answer(&mut self, ip: IpAddr) -> Option<DomainId> {
        let domain = self.domain_at(ip, None, 0..self.config.trunks.len())?;
        Some(self.domains.id(domain))
    }

    /// The trunk that lives there: this one before those.
    fn domain_at(&self, ip: IpAddr, trunk: Option<usize>, others: Range<usize>) -> Option<Domain> {
        let ip = canonical(ip);
        let lives_there = |index: usize| {
            let trunk = self.config.trunks.get(index)?;
            let mut targets = trunk.targets.iter().map(|target| &target.target);
            let target = targets.find(|target| {
                target.transport.is_none_or(Transport::is_secure)
                    && match target.host.parse::<IpAddr>() {
                        Ok(target) => canonical(target) == ip,
                        Err(_) => self.resolver.is_at(&NextHop::from(*target), ip),
                    }
            })?;
            Some(self.domain_of_trunk(index, &target.host))
        };
        trunk.into_iter().chain(others).find_map(lives_there)
    }

    /// What the trunk's certificate must bear at the target of this host.
    fn domain_of_trunk(&self, index: usize, host: &str) -> Domain {
        let name = self.config.trunks[index].tls.name.as_deref();
        Domain {
            name: name.unwrap_or(host).to_ascii_lowercase(),
            peer: Some(index),
        }
    }
}
