//! The wire format of `/rtc`: one JSON object a text frame (docs/signaling.md).
//!
//! Only shapes: what a message means is in [`super::session`], and serde goes no further than
//! this file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The one protocol version.
pub const VERSION: u32 = 1;

/// A message of the client.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Who is there.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// A user of the configuration.
        user: Option<String>,
        /// That user's password.
        password: Option<String>,
        /// A JSON Web Token instead.
        token: Option<String>,
    },
    /// Call a number.
    Call {
        /// The client's name for the call.
        call: String,
        /// The dialled string.
        to: String,
        /// The JSEP offer.
        sdp: String,
        /// The caller's name for the called party's display.
        name: Option<String>,
        /// Whether the called party shall not learn who calls.
        #[serde(default)]
        anonymous: bool,
        /// Headers for the trunk, those that the configuration lists.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// One more candidate, or the end of them.
    Candidate {
        /// Which call.
        call: String,
        /// Null is the end of candidates.
        candidate: Option<Candidate>,
    },
    /// Take a call.
    Accept {
        /// Which call.
        call: String,
        /// The JSEP answer.
        sdp: String,
    },
    /// Refuse a call.
    Reject {
        /// Which call.
        call: String,
        /// Why.
        reason: Option<Rejection>,
    },
    /// Send digits to the PBX.
    Dtmf {
        /// Which call.
        call: String,
        /// Of 0-9, *, # and A-D; a comma is a pause.
        digits: String,
        /// Milliseconds each; 100 where absent.
        duration: Option<u32>,
    },
    /// Hold or resume the PBX.
    Hold {
        /// Which call.
        call: String,
        /// Whether to hold.
        on: bool,
    },
    /// Connect the other side elsewhere.
    Transfer {
        /// Which call.
        call: String,
        /// The dialled string.
        to: Option<String>,
        /// Or the client's other call, whose other side it gets.
        replaces: Option<String>,
    },
    /// Write to somebody: to a number, or to the other side of a call.
    Message {
        /// The client's name for the message, given back with its outcome.
        id: Option<String>,
        /// The dialled string.
        to: Option<String>,
        /// Or the call.
        call: Option<String>,
        /// At most 4,096 bytes of UTF-8.
        text: String,
    },
    /// End a call.
    Hangup {
        /// Which call.
        call: String,
        /// A code of docs/end-reasons.md where the client found something broken. One that is not
        /// known, or no text, never costs the hang-up.
        #[serde(default)]
        reason: Option<serde_json::Value>,
    },
    /// Go on with this session by a new token.
    Renew {
        /// A JSON Web Token for the same user.
        token: String,
    },
    /// Are you there?
    Ping {},
}

/// Why a client refuses a call.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// 486.
    Busy,
    /// 603.
    Declined,
}

/// An ICE candidate, the shape of `RTCIceCandidateInit`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// `candidate:...`; empty is the end of candidates, as browsers say it.
    pub candidate: String,
    /// The media section.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// Its index.
    #[serde(default)]
    pub sdp_m_line_index: Option<u16>,
    /// The generation of credentials that the candidate belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// A message of the gateway.
#[derive(Clone, Debug, Serialize, PartialEq)]
#[cfg_attr(test, derive(Deserialize))]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum ServerMessage {
    /// You are in.
    Welcome {
        /// [`VERSION`].
        version: u32,
        /// Who you are.
        user: String,
        /// The connection's name in the gateway's logs.
        session: String,
        /// For `RTCPeerConnection`.
        ice_servers: Vec<IceServer>,
        /// Numbers that the gateway answers itself.
        numbers: Vec<Number>,
    },
    /// Somebody calls.
    Incoming {
        /// The gateway's name for the call.
        call: String,
        /// Who calls.
        from: Caller,
        /// The called number.
        to: String,
        /// Whom the call was meant for before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diverted: Option<Diverted>,
        /// Headers of the trunk, those that the configuration lists.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// The JSEP offer.
        sdp: String,
    },
    /// The answer to the client's offer.
    Answer {
        /// Which call.
        call: String,
        /// The JSEP answer.
        sdp: String,
    },
    /// A candidate of the gateway; null is the end of them.
    Candidate {
        /// Which call.
        call: String,
        /// The gateway knows all its candidates at once and puts them into its offers and
        /// answers, so only the end is sent today.
        candidate: Option<Candidate>,
    },
    /// It rings there.
    Ringing {
        /// Which call.
        call: String,
    },
    /// Audio before the answer.
    EarlyMedia {
        /// Which call.
        call: String,
    },
    /// The called party is there.
    Answered {
        /// Which call.
        call: String,
    },
    /// The token that opened the session expires soon, and the session with it.
    TokenExpiring {
        /// Until then.
        seconds: u64,
    },
    /// The client's new token was taken.
    TokenRenewed {
        /// Until the session ends.
        seconds: u64,
    },
    /// The gateway takes no new calls; open ones may go on.
    Draining {
        /// Until it ends those that are left.
        seconds: u64,
    },
    /// The PBX holds or resumes.
    Held {
        /// Which call.
        call: String,
        /// Whether it is held.
        on: bool,
    },
    /// A side that should send audio does not, or does again.
    Media {
        /// Which call.
        call: String,
        /// `browser` or `pbx`.
        side: String,
        /// Whether no audio comes from it.
        silent: bool,
    },
    /// The transfer that the client asked for is under way.
    Transferring {
        /// Which call.
        call: String,
        /// SIP status of the new call.
        status: u16,
    },
    /// It failed.
    TransferFailed {
        /// Which call.
        call: String,
        /// SIP status of the new call, or of the refusal.
        status: u16,
    },
    /// The client is connected with somebody else now.
    Transferred {
        /// Which call.
        call: String,
        /// With whom.
        to: String,
    },
    /// The called party is reached elsewhere.
    Redirected {
        /// Which call.
        call: String,
        /// The new number.
        to: String,
    },
    /// A digit came from the PBX.
    Dtmf {
        /// Which call.
        call: String,
        /// Which digit.
        digit: String,
        /// Milliseconds.
        duration: u32,
    },
    /// Somebody writes.
    Message {
        /// The call whose other side it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// Who, outside calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Caller>,
        /// The number that it was sent to, outside calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// What.
        text: String,
    },
    /// The client's message was taken.
    MessageSent {
        /// The client's name for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The call that it was sent in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// SIP status, 200 to 299.
        status: u16,
    },
    /// It was not.
    MessageFailed {
        /// The client's name for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The call that it was sent in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// Stable.
        code: String,
        /// The SIP status from the PBX.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// For people.
        text: String,
    },
    /// Fresh figures, every 2 s.
    Statistics {
        /// Which call.
        call: String,
        /// The WebRTC side.
        browser: Side,
        /// The SIP side.
        pbx: Side,
    },
    /// The call is over.
    Ended {
        /// Which call.
        call: String,
        /// A code of docs/end-reasons.md.
        reason: String,
        /// The SIP status from the PBX.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// For people.
        text: String,
    },
    /// A message was refused.
    Error {
        /// Stable.
        code: String,
        /// For people.
        message: String,
        /// Which call, where it concerns one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<String>,
        /// How clients may sign in here, after credentials that were not right: `password`,
        /// `token`, `guest`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        methods: Vec<String>,
        /// Seconds until another attempt is looked at, after too many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// I am.
    Pong {},
    /// The gateway closes the connection.
    Goodbye {
        /// `shutdown`, `idle`, `error`, `token-expired`.
        reason: String,
        /// How clients may sign in here, as in `error`: after `token-expired`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        methods: Vec<String>,
    },
}

/// The shape of `RTCIceServer`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// A number that the gateway answers itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Number {
    /// What to dial.
    pub number: String,
    /// What happens.
    pub description: String,
}

/// Who calls.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Caller {
    /// The number.
    pub number: String,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// That a call was meant for somebody else before.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Diverted {
    /// Who sent it on.
    pub from: String,
    /// A word of RFC 5806 section 4.1.
    pub reason: String,
}

/// One side's figures; null where unknown.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// The codec's name.
    pub codec: Option<String>,
    /// Fraction, 0 to 1.
    pub loss_in: Option<f64>,
    /// Fraction, 0 to 1.
    pub loss_out: Option<f64>,
    /// Milliseconds.
    pub jitter_ms: Option<f64>,
    /// Milliseconds.
    pub round_trip_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_the_documentation_parses_and_every_message_has_one() {
        let page = include_str!("../../docs/signaling.md");
        let mut seen = std::collections::BTreeSet::new();
        let mut rest = page;
        while let Some(start) = rest.find("```json\n") {
            let from_page = rest[..start].trim_end().ends_with("<!-- page -->");
            let from_gateway = rest[..start].trim_end().ends_with("<!-- gateway -->");
            rest = &rest[start + 8..];
            let end = rest.find("```").expect("a closed fence");
            let example = &rest[..end];
            let kind: serde_json::Value = serde_json::from_str(example).expect(example);
            if from_page {
                serde_json::from_str::<ClientMessage>(example)
                    .unwrap_or_else(|error| panic!("{error}: {example}"));
                seen.insert(format!("page {}", kind["type"].as_str().expect("a type")));
            } else if from_gateway {
                let message = serde_json::from_str::<ServerMessage>(example)
                    .unwrap_or_else(|error| panic!("{error}: {example}"));
                let again = serde_json::to_value(&message).expect("a message is JSON");
                assert_eq!(
                    again, kind,
                    "the documented message is what the gateway writes"
                );
                seen.insert(format!(
                    "gateway {}",
                    kind["type"].as_str().expect("a type")
                ));
            }
            rest = &rest[end + 3..];
        }
        for kind in [
            "page hello",
            "page call",
            "page candidate",
            "page accept",
            "page reject",
            "page dtmf",
            "page hold",
            "page hangup",
            "page transfer",
            "page message",
            "page renew",
            "page ping",
            "gateway welcome",
            "gateway incoming",
            "gateway answer",
            "gateway ringing",
            "gateway early-media",
            "gateway answered",
            "gateway candidate",
            "gateway held",
            "gateway media",
            "gateway token-expiring",
            "gateway token-renewed",
            "gateway draining",
            "gateway dtmf",
            "gateway transferring",
            "gateway transfer-failed",
            "gateway transferred",
            "gateway redirected",
            "gateway message",
            "gateway message-sent",
            "gateway message-failed",
            "gateway statistics",
            "gateway ended",
            "gateway error",
            "gateway pong",
            "gateway goodbye",
        ] {
            assert!(
                seen.contains(kind),
                "{kind} has no example in docs/signaling.md"
            );
        }
    }
}
