//! What belongs to a request of ours by its branch: the ACK of a refused INVITE, the CANCEL, and the
//! responses.

use std::net::IpAddr;

use bytes::Bytes;

use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::message::{Name, Request, Response};
use crate::sip::stack::method::Method;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::stack::via::Via;

/// The ACK for a refusal: same branch, same route, the refusal's To (RFC 3261 section 17.1.1.3).
pub fn refusal_acknowledgement(invite: &Request, response: &Response) -> Bytes {
    let mut request = same_branch(invite, Method::Ack);
    request.headers.remove(&Name::TO);
    for value in response.headers.get_raw(&Name::TO) {
        request.headers.insert(Name::TO, value.clone());
    }
    request.write()
}

/// An ACK or CANCEL that belongs to the INVITE's own transaction (sections 9.1 and 17.1.1.3).
pub fn same_branch(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method, invite.uri.clone());
    for name in [
        Name::VIA,
        Name::ROUTE,
        Name::MAX_FORWARDS,
        Name::FROM,
        Name::TO,
        Name::CALL_ID,
    ] {
        for value in invite.headers.get_raw(&name) {
            request.headers.insert(name.clone(), value.clone());
        }
    }
    let sequence = Envelope::read(&invite.headers).map_or(0, |envelope| envelope.sequence);
    request
        .headers
        .insert(Name::CSEQ, format!("{sequence} {}", request.method));
    request
}

/// True when the topmost Via of a response has the sent-by that we wrote (section 18.1.2): the host
/// in any case and an address in any form, the port written or not where it is the usual one.
pub fn has_sent_by_of(envelope: &Envelope, request: &Request, transport: Transport) -> bool {
    let written = request.headers.get_raw(&Name::VIA).next();
    let Some(ours) = written.and_then(|via| Via::read(via)) else {
        return false;
    };
    let ip = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
    };
    let theirs: &str = &envelope.sent_by_host;
    let same_host = match (ip(theirs), ip(ours.host)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => theirs.eq_ignore_ascii_case(ours.host),
    };
    let port = |port: Option<u16>| port.unwrap_or(transport.default_port());
    same_host && port(envelope.sent_by_port) == port(ours.port)
}
