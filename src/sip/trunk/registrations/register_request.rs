//! The REGISTERs of one registration (RFC 3261 section 10.2, RFC 3327, RFC 5626).

use crate::sip::stack::address::Address;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::message::{Name, Request};
use crate::sip::stack::method::Method;
use crate::sip::stack::request_outside_dialog::RequestOutsideDialog;
use crate::sip::trunk::config::Trunk;
use crate::sip::trunk::network_headers::NetworkHeaders;

/// What the REGISTERs of one registration have in common.
#[derive(Debug)]
pub struct RegisterRequests {
    pub authorizer: Option<Authorizer>,
    /// `urn:uuid` of RFC 5626 section 4.1; `None` where Outbound is not wanted or was refused.
    pub instance: Option<String>,
    pub sequence: u32,
    pub call_id: String,
    pub tag: String,
}

impl RegisterRequests {
    /// The next one for this user, and the parameters of its Contact.
    pub fn next(
        &mut self,
        user: &str,
        expires: u32,
        trunk: &Trunk,
        network: &NetworkHeaders,
    ) -> (Request, String) {
        self.sequence += 1;
        let record = trunk.uri(user);
        let mut request = RequestOutsideDialog {
            method: Method::Register,
            uri: trunk.uri(""),
            from: Address::new(record.clone()).with_tag(&self.tag),
            to: record,
            call_id: &self.call_id,
            sequence: self.sequence,
            routes: &trunk.routes,
        }
        .request();
        let headers = &mut request.headers;
        headers.insert(Name::EXPIRES, expires);
        headers.insert(Name::ALLOW, Method::ALLOW);
        let mut params = String::new();
        match &self.instance {
            Some(instance) => {
                headers.insert(Name::SUPPORTED, "path, outbound");
                params.push_str(&format!(";reg-id=1;+sip.instance=\"<{instance}>\""));
            }
            None => headers.insert(Name::SUPPORTED, "path"),
        }
        params.push_str(&format!(";expires={expires}"));
        network.put(headers);
        if let Some(authorizer) = &self.authorizer
            && authorizer.subscriber().is_some()
            && authorizer.is_fresh()
        {
            // A subscriber asks to be challenged (3GPP TS 24.229 section 5.1.1.2).
            let username = authorizer.username();
            let value = format!(
                "Digest username=\"{username}\", realm=\"{}\", nonce=\"\", uri=\"{}\", response=\"\"",
                trunk.domain, request.uri
            );
            request.headers.insert(Name::AUTHORIZATION, value);
        }
        (request, params)
    }
}
