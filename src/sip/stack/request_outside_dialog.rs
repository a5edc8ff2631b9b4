//! Requests outside of dialogs (RFC 3261 section 8.1.1): REGISTER, OPTIONS, MESSAGE, and the INVITE
//! that begins a call.

use super::address::{Address, is_loose};
use super::message::{Name, Request};
use super::method::Method;

/// What such a request must have; Via and Contact are written when it leaves.
#[derive(Debug)]
pub struct RequestOutsideDialog<'a> {
    pub method: Method,
    pub uri: String,
    /// With its tag.
    pub from: Address,
    pub to: String,
    pub call_id: &'a str,
    pub sequence: u32,
    /// The preloaded route set (section 8.1.2).
    pub routes: &'a [String],
}

impl RequestOutsideDialog<'_> {
    /// The request with its mandatory headers and its routes.
    pub fn request(self) -> Request {
        let sequence = format!("{} {}", self.sequence, self.method);
        let mut request = Request::new(self.method, self.uri);
        let headers = &mut request.headers;
        headers.insert(Name::MAX_FORWARDS, 70u32);
        headers.insert(Name::FROM, self.from.to_string());
        headers.insert(Name::TO, Address::new(self.to).to_string());
        headers.insert(Name::CALL_ID, self.call_id.to_owned());
        headers.insert(Name::CSEQ, sequence);
        put_routes(&mut request, self.routes);
        request
    }
}

/// Puts a preloaded route set into a request (RFC 3261 section 8.1.2). A first route without `lr`
/// wants itself as the request URI and the destination as the last route (section 12.2.1.1).
fn put_routes(request: &mut Request, routes: &[String]) {
    let Some((first, rest)) = routes.split_first() else {
        return;
    };
    let mut values: Vec<&str> = rest.iter().map(String::as_str).collect();
    let destination = request.uri.clone();
    if is_loose(first) {
        values.insert(0, first);
    } else {
        values.push(&destination);
        request.uri = first.clone();
    }
    for value in values {
        request.headers.insert(Name::ROUTE, format!("<{value}>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(routes: &[&str]) -> String {
        let routes: Vec<String> = routes.iter().map(|route| (*route).to_owned()).collect();
        let request = RequestOutsideDialog {
            method: Method::Options,
            uri: "sip:pbx.example".to_owned(),
            from: Address::new("sip:gw.example".to_owned()).with_tag("t1"),
            to: "sip:pbx.example".to_owned(),
            call_id: "c1",
            sequence: 7,
            routes: &routes,
        };
        String::from_utf8(request.request().write().to_vec()).expect("text")
    }

    #[test]
    fn request_has_the_mandatory_headers_of_section_8_1_1() {
        let written = request(&[]);
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines[0], "OPTIONS sip:pbx.example SIP/2.0");
        for line in [
            "Max-Forwards: 70",
            "From: <sip:gw.example>;tag=t1",
            "To: <sip:pbx.example>",
            "Call-ID: c1",
            "CSeq: 7 OPTIONS",
        ] {
            assert!(lines.contains(&line), "{line} in {written}");
        }
        assert!(!written.contains("Route:"), "{written}");
    }

    #[test]
    fn loose_route_stands_before_the_others_and_keeps_the_uri() {
        let written = request(&["sip:edge;lr", "sip:core;lr"]);
        assert!(written.starts_with("OPTIONS sip:pbx.example SIP/2.0"));
        let first = written.find("Route: <sip:edge;lr>").expect("a route");
        let second = written.find("<sip:core;lr>").expect("a route");
        assert!(first < second, "{written}");
    }

    #[test]
    fn strict_route_becomes_the_request_uri() {
        let written = request(&["sip:edge", "sip:core;lr"]);
        assert!(written.starts_with("OPTIONS sip:edge SIP/2.0"));
        let core = written.find("<sip:core;lr>").expect("a route");
        let last = written.find("Route: <sip:pbx.example>");
        let last = last.or(written.find(", <sip:pbx.example>"));
        assert!(core < last.expect("the destination"), "{written}");
    }
}
