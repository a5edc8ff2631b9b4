//! A new request of a peer: one value with all that is known of it, made once and passed along.

use std::net::SocketAddr;

use crate::sip::stack::envelope::Envelope;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::Request;
use crate::sip::stack::method::Method;
use crate::sip::stack::transaction::key::ServerKey;

/// A request that is no ACK and that no transaction had before.
#[derive(Debug)]
pub(super) struct IncomingRequest {
    /// Of its transaction, from the moment that it has one.
    pub key: ServerKey,
    pub request: Request,
    /// What was read of its headers.
    pub envelope: Envelope,
    /// Where its response goes.
    pub flow: Flow,
    pub source: SocketAddr,
    /// Octets as it arrived.
    pub length: usize,
    /// The trunk that has the address of its source, whoever it calls.
    pub source_trunk: Option<usize>,
    /// The trunk that it belongs to; once it has proved who it is, that one.
    pub origin: Option<Origin>,
}

/// The trunk that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// Its index.
    pub trunk: usize,
    /// The request came from an address of the trunk or proved the trunk's credentials. Otherwise
    /// it only names a Contact that we registered there: everybody who has seen a message of ours
    /// knows that one.
    pub verified: bool,
}

impl Origin {
    /// A trunk whose address a request comes from, or whose credentials it proved.
    pub const fn verified(trunk: usize) -> Self {
        Origin {
            trunk,
            verified: true,
        }
    }
}

impl IncomingRequest {
    /// The trunk that it belongs to, however sure that is.
    pub fn trunk(&self) -> Option<usize> {
        self.origin.map(|origin| origin.trunk)
    }

    /// The trunk that it is known to come from.
    pub fn verified_trunk(&self) -> Option<usize> {
        let origin = self.origin.filter(|origin| origin.verified);
        origin.map(|origin| origin.trunk)
    }

    /// True for a request that begins something, and belongs to nothing that we hold.
    pub fn is_outside_dialogs(&self) -> bool {
        self.envelope.to.tag().is_none() && self.request.method != Method::Cancel
    }

    /// True for an INVITE that begins a call.
    pub fn begins_call(&self) -> bool {
        self.request.method == Method::Invite && self.envelope.to.tag().is_none()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sip::stack::message::Message;
    use crate::sip::stack::transaction::key::Matching;
    use crate::sip::stack::transport_protocol::Transport;

    fn incoming(method: &str, to_tag: &str, origin: Option<Origin>) -> IncomingRequest {
        let text = format!(
            "{method} sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\n\
             From: <sip:600@192.0.2.2>;tag=b\r\nTo: <sip:a@192.0.2.1>{to_tag}\r\n\
             Call-ID: c\r\nCSeq: 1 {method}\r\n\r\n"
        );
        let received = Message::read(&Bytes::from(text)).expect("readable");
        let Message::Request(request) = received.message else {
            panic!("a request");
        };
        let envelope = Envelope::read(&request.headers).expect("an envelope");
        let source: SocketAddr = "192.0.2.2:5060".parse().expect("an address");
        IncomingRequest {
            key: Matching::new(&[7; 16]).server(&envelope),
            request,
            envelope,
            flow: Flow::new(Transport::Udp, 0, source),
            source,
            length: 200,
            source_trunk: None,
            origin,
        }
    }

    #[test]
    fn trunk_of_a_known_contact_alone_is_not_verified() {
        let trunks = |origin| {
            let incoming = incoming("INVITE", "", origin);
            (incoming.trunk(), incoming.verified_trunk())
        };
        let by_contact = Origin {
            trunk: 2,
            verified: false,
        };
        assert_eq!(trunks(None), (None, None));
        assert_eq!(trunks(Some(by_contact)), (Some(2), None));
        let proven = Some(Origin::verified(2));
        assert_eq!(trunks(proven), (Some(2), Some(2)));
    }

    #[test]
    fn invite_without_to_tag_begins_a_call() {
        let begins = |method, to_tag| {
            let incoming = incoming(method, to_tag, None);
            (incoming.begins_call(), incoming.is_outside_dialogs())
        };
        assert_eq!(begins("INVITE", ""), (true, true));
        assert_eq!(begins("INVITE", ";tag=a"), (false, false));
        assert_eq!(begins("OPTIONS", ""), (false, true));
        assert_eq!(begins("CANCEL", ""), (false, false));
    }
}
