//! Request methods. Our own enum: methods are case-sensitive and whole words (`INVITEX` is not
//! `INVITE`), which most method types do not keep apart.

use std::fmt;

/// A request method.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// RFC 3261.
    Invite,
    /// RFC 3261.
    Ack,
    /// RFC 3261.
    Bye,
    /// RFC 3261.
    Cancel,
    /// RFC 3261.
    Options,
    /// RFC 3261.
    Register,
    /// RFC 6086.
    Info,
    /// RFC 3311.
    Update,
    /// RFC 3262.
    Prack,
    /// RFC 3515.
    Refer,
    /// RFC 6665, for what REFER subscribes to.
    Notify,
    /// RFC 3428.
    Message,
    /// A method of another RFC that this user agent does not serve.
    Unserved(&'static str),
    /// A method that no RFC we know names.
    Unknown(String),
}

/// Methods we know and refuse with 405 instead of 501.
const UNSERVED: [&str; 3] = ["SUBSCRIBE", "PUBLISH", "PING"];

impl Method {
    /// Value of Allow.
    pub const ALLOW: &str =
        "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, MESSAGE";

    /// Reads a method; `None` when it is no token.
    pub fn read(text: &str) -> Option<Self> {
        Some(match text {
            "INVITE" => Method::Invite,
            "ACK" => Method::Ack,
            "BYE" => Method::Bye,
            "CANCEL" => Method::Cancel,
            "OPTIONS" => Method::Options,
            "REGISTER" => Method::Register,
            "INFO" => Method::Info,
            "UPDATE" => Method::Update,
            "PRACK" => Method::Prack,
            "REFER" => Method::Refer,
            "NOTIFY" => Method::Notify,
            "MESSAGE" => Method::Message,
            _ => match UNSERVED.iter().find(|known| **known == text) {
                Some(known) => Method::Unserved(known),
                None => {
                    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
                    if text.is_empty() || !text.bytes().all(is_token) {
                        return None;
                    }
                    Method::Unknown(text.to_owned())
                }
            },
        })
    }

    /// The method as written.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Info => "INFO",
            Method::Update => "UPDATE",
            Method::Prack => "PRACK",
            Method::Refer => "REFER",
            Method::Notify => "NOTIFY",
            Method::Message => "MESSAGE",
            Method::Unserved(name) => name,
            Method::Unknown(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
