//! Dialogs (RFC 3261 section 12): who the two ends are, in which order their requests come, and
//! by which way a request inside the dialog goes.

use super::address::{Address, Parts, is_loose};
use super::envelope::Envelope;
use super::flow::Flow;
use super::lists::list;
use super::message::{Headers, Name, Request, Response};
use super::method::Method;
use super::next_hop::NextHop;
use super::sips::is_sips;

/// One dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: String,
    /// Our From or To, with our tag.
    pub local: Address,
    /// The peer's, with its tag once it has one.
    pub remote: Address,
    /// Number of our last request.
    pub local_sequence: u32,
    /// Number of the peer's last request.
    pub remote_sequence: Option<u32>,
    /// Number of a request that we have answered with 491: some peers send it again under the
    /// same number.
    pub retried_sequence: Option<u32>,
    /// Request URI of our requests: the peer's Contact.
    pub target: String,
    /// No message of the peer had a Contact that can be written back: the target is a guess of
    /// ours, and where requests go is the last flow's.
    pub target_is_guessed: bool,
    /// Routes in the order in which we send them.
    pub route_set: Vec<Route>,
    /// The flow that the last message of the peer came by: where requests go while neither the
    /// first route nor the target names a destination.
    pub last_flow: Option<Flow>,
}

/// One Record-Route of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Value of the Route header: as it was received, in brackets.
    pub value: String,
    /// The URI of it.
    pub uri: String,
}

impl Dialog {
    /// The caller's side (section 12.1.2), from the INVITE we sent and a response to it.
    /// `flow` is that of the response.
    pub fn of_caller(request: &Request, response: &Response, flow: Flow) -> Option<Dialog> {
        let sent = Envelope::read(&request.headers).ok()?;
        let came = Envelope::read(&response.headers).ok()?;
        let mut route_set = routes(&response.headers);
        route_set.reverse();
        let target = contact(&response.headers);
        Some(Dialog {
            call_id: sent.call_id.to_string(),
            local: sent.from,
            remote: came.to,
            local_sequence: sent.sequence,
            remote_sequence: None,
            retried_sequence: None,
            target_is_guessed: target.is_none(),
            target: target.unwrap_or_else(|| request.uri.clone()),
            route_set,
            last_flow: Some(flow),
        })
    }

    /// The called side (section 12.1.1), from the INVITE that arrived and the tag we answer with.
    /// `flow` is that of the INVITE.
    pub fn of_callee(request: &Request, envelope: &Envelope, tag: &str, flow: Flow) -> Dialog {
        let target = contact(&request.headers);
        Dialog {
            call_id: envelope.call_id.to_string(),
            local: envelope.to.clone().with_tag(tag),
            remote: envelope.from.clone(),
            local_sequence: 0,
            remote_sequence: Some(envelope.sequence),
            retried_sequence: None,
            target_is_guessed: target.is_none(),
            target: target.unwrap_or_else(|| envelope.from.uri.clone()),
            route_set: routes(&request.headers),
            last_flow: Some(flow),
        }
    }

    /// The peer's tag.
    pub fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or("")
    }

    /// Takes the peer's new Contact (target refresh, section 12.2).
    pub fn refresh_target(&mut self, headers: &Headers) {
        if let Some(target) = contact(headers) {
            self.target = target;
            self.target_is_guessed = false;
        }
    }

    /// Takes the target of the early dialog that this one comes from, where its 2xx names none.
    pub fn keep_target_of(&mut self, early: &Dialog) {
        if self.target_is_guessed {
            self.target.clone_from(&early.target);
            self.target_is_guessed = early.target_is_guessed;
        }
    }

    /// Takes the number of a request of the peer; false when it came out of order (section
    /// 12.2.2).
    pub fn accept_sequence(&mut self, sequence: u32) -> bool {
        if self.remote_sequence.is_some_and(|last| sequence <= last) {
            let last = self.remote_sequence == Some(sequence);
            return last && self.retried_sequence.take() == Some(sequence);
        }
        self.remote_sequence = Some(sequence);
        true
    }

    /// The peer's request of this number got 491: it may come again in another transaction under
    /// the same number (seen of JsSIP 3.13, against section 12.2.1.1).
    pub fn expect_retry(&mut self, sequence: u32) {
        self.retried_sequence = Some(sequence);
    }

    /// A request inside the dialog with the next number (section 12.2.1.1).
    pub fn request(&mut self, method: Method) -> Request {
        self.local_sequence += 1;
        self.request_numbered(method, self.local_sequence)
    }

    /// The ACK for a 2xx to the INVITE numbered `sequence` (section 13.2.2.4).
    pub fn acknowledgement(&self, sequence: u32) -> Request {
        self.request_numbered(Method::Ack, sequence)
    }

    fn request_numbered(&self, method: Method, sequence: u32) -> Request {
        let values = self.route_set.iter().map(|route| route.value.clone());
        let mut routes: Vec<String> = values.collect();
        let mut uri = self.target.clone();
        // A strict router wants itself as the request URI and the target as the last route.
        if let Some(first) = self.route_set.first()
            && !is_loose(&first.uri)
        {
            routes.remove(0);
            routes.push(format!("<{uri}>"));
            uri = first.uri.clone();
        }
        let mut request = Request::new(method, uri);
        let headers = &mut request.headers;
        for route in routes {
            headers.insert(Name::ROUTE, route);
        }
        headers.insert(Name::MAX_FORWARDS, 70u32);
        headers.insert(Name::FROM, self.local.to_string());
        headers.insert(Name::TO, self.remote.to_string());
        headers.insert(Name::CALL_ID, self.call_id.clone());
        headers.insert(Name::CSEQ, format!("{sequence} {}", request.method));
        request
    }

    /// Where the dialog's requests are sent: the first route, else the target; `None` where that
    /// names no destination, as a `tel:` URI does, or where the target is a guess: that of a `sips:`
    /// dialog counts, since nothing else may say where its requests go (section 26.2.2).
    pub fn next_hop(&self) -> Option<NextHop> {
        if self.target_is_guessed && self.route_set.is_empty() && !is_sips(&self.target) {
            return None;
        }
        let first = self
            .route_set
            .first()
            .map_or(&self.target, |route| &route.uri);
        NextHop::of_uri(first)
    }
}

/// URI of the first Contact that can be read and written back.
pub fn contact(headers: &Headers) -> Option<String> {
    headers
        .get_raw(&Name::CONTACT)
        .flat_map(|value| list(value))
        .filter(|element| *element != "*")
        .find_map(Parts::find_lenient)
        .map(|found| found.uri.to_owned())
}

/// The Record-Routes of a message in order.
fn routes(headers: &Headers) -> Vec<Route> {
    headers
        .get_raw(&Name::RECORD_ROUTE)
        .flat_map(|value| list(value))
        .filter_map(route)
        .collect()
}

fn route(element: &str) -> Option<Route> {
    if !element.contains('<') {
        // An address in brackets is what the grammar wants (section 25.1, `rec-route`): without
        // them `;lr` would be lost, which nobody means.
        let usable =
            element.contains(':') && !element.contains(|c: char| c == '>' || c.is_ascii_control());
        return usable.then(|| Route {
            value: format!("<{element}>"),
            uri: element.to_owned(),
        });
    }
    let found = Parts::find_lenient(element)?;
    let is_writable = element.contains('>') && !element.contains(|c: char| c.is_ascii_control());
    let value = match is_writable {
        true => element.to_owned(),
        false => format!("<{}>", found.uri),
    };
    Some(Route {
        uri: found.uri.to_owned(),
        value,
    })
}
