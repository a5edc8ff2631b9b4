//! The transport protocols of SIP messages, and the properties of each: no other file matches on
//! them to find out what a transport can do.

use std::fmt;

/// Transport protocol of SIP messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// RFC 3261 section 18, one message a datagram.
    Udp,
    /// RFC 3261 section 18.3, messages framed by Content-Length.
    Tcp,
    /// The same inside TLS (RFC 3261 section 26.2, RFC 5922).
    Tls,
    /// WebSocket, one message a WebSocket message (RFC 7118).
    Ws,
    /// The same over TLS.
    Wss,
}

impl Transport {
    /// Every one.
    pub const ALL: [Transport; 5] = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ];

    /// True when the transport itself repeats what is lost. All of these are streams: messages of
    /// one peer share a connection, and its port is none where the peer listens.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// True when TLS protects the hop: what a `sips:` request needs (RFC 3261 section 26.2.2).
    pub const fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// True when a request can be sent to an address. A WebSocket server cannot: the flow that a
    /// client opened is the only way to it (RFC 7118 section 5).
    pub const fn can_connect_out(self) -> bool {
        !self.is_web_socket()
    }

    /// True when messages travel in WebSocket messages.
    pub const fn is_web_socket(self) -> bool {
        matches!(self, Transport::Ws | Transport::Wss)
    }

    /// The transport that takes a request which is too large for a datagram (RFC 3261 section
    /// 18.1.1); `None` where no message is too large.
    pub const fn for_large_requests(self) -> Option<Transport> {
        match self {
            Transport::Udp => Some(Transport::Tcp),
            _ => None,
        }
    }

    /// The transport that a `sips:` URI means by naming this one: TLS runs over TCP, and either
    /// name is the same (RFC 3261 section 26.2.2). `None`: there is no TLS over it here.
    pub const fn under_sips(self) -> Option<Transport> {
        match self {
            Transport::Udp => None,
            Transport::Tcp | Transport::Tls => Some(Transport::Tls),
            Transport::Ws | Transport::Wss => Some(Transport::Wss),
        }
    }

    /// The port of a URI that names none (RFC 3261 section 19.1.2, RFC 7118 section 5.3).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }

    /// The name as a Via header writes it.
    pub const fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// The value of a URI's `transport` parameter. WebSocket has one for both forms (RFC 7118
    /// section 5.2.2).
    pub const fn uri_value(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws | Transport::Wss => "ws",
        }
    }

    /// The transport that a `sip:` URI means by this value of its `transport` parameter.
    pub fn of_uri_value(value: &str) -> Option<Transport> {
        // `ws` finds the first of its two, which is the one without TLS.
        Transport::ALL
            .into_iter()
            .find(|known| known.uri_value().eq_ignore_ascii_case(value))
    }

    /// Scheme and parameters of a URI of ours that is reached by this transport; `sips`: the URI
    /// belongs to a `sips:` request.
    pub const fn uri_form(self, sips: bool) -> (&'static str, &'static str) {
        match self {
            // UDP is what a URI without the parameter means.
            Transport::Udp => ("sip", ""),
            Transport::Tcp => ("sip", ";transport=tcp"),
            // `transport=tls` beside `sips:` is deprecated (RFC 3261 section 26.2.2).
            Transport::Tls if sips => ("sips", ""),
            Transport::Tls => ("sip", ";transport=tls"),
            Transport::Wss if sips => ("sips", ";transport=ws"),
            Transport::Ws | Transport::Wss => ("sip", ";transport=ws"),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_properties_are_those_of_its_rfc() {
        let rows: Vec<_> = Transport::ALL
            .into_iter()
            .map(|transport| {
                (
                    transport.via_token(),
                    transport.uri_value(),
                    transport.default_port(),
                    transport.is_reliable(),
                    transport.is_secure(),
                    transport.can_connect_out(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("UDP", "udp", 5060, false, false, true),
                ("TCP", "tcp", 5060, true, false, true),
                ("TLS", "tls", 5061, true, true, true),
                ("WS", "ws", 80, true, false, false),
                ("WSS", "ws", 443, true, true, false),
            ]
        );
    }

    #[test]
    fn uri_value_names_the_transport_of_a_sip_uri() {
        let named = Transport::of_uri_value;
        assert_eq!(named("TCP"), Some(Transport::Tcp));
        assert_eq!(named("tls"), Some(Transport::Tls));
        assert_eq!(named("WS"), Some(Transport::Ws));
        // A Via token, and no value of a URI.
        assert_eq!(named("wss"), None);
        assert_eq!(named("sctp"), None);
    }

    #[test]
    fn transport_under_sips_is_secure_or_none() {
        let under = Transport::ALL.map(Transport::under_sips);
        assert_eq!(
            under,
            [
                None,
                Some(Transport::Tls),
                Some(Transport::Tls),
                Some(Transport::Wss),
                Some(Transport::Wss)
            ]
        );
        assert!(under.into_iter().flatten().all(Transport::is_secure));
    }

    #[test]
    fn own_uri_of_a_sips_request_is_sips_where_the_transport_is_secure() {
        let form = |transport: Transport| (transport.uri_form(false), transport.uri_form(true));
        assert_eq!(form(Transport::Udp), (("sip", ""), ("sip", "")));
        let tcp = ("sip", ";transport=tcp");
        assert_eq!(form(Transport::Tcp), (tcp, tcp));
        let tls = (("sip", ";transport=tls"), ("sips", ""));
        assert_eq!(form(Transport::Tls), tls);
        let ws = ("sip", ";transport=ws");
        assert_eq!(form(Transport::Ws), (ws, ws));
        assert_eq!(form(Transport::Wss), (ws, ("sips", ";transport=ws")));
    }
}
