//! Offers and answers as values: parsed, bounded, and impossible to take for one another.

use std::fmt;

use sdp_types::{AddrType, NetType, Origin, Session};

use super::cleaning::clean;
use super::{Error, MAX_LENGTH};

/// The numbers in our `o=` line (RFC 8866 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionIds {
    /// `sess-id`: the same in every description of one side of a call. Only the lower 63 bits
    /// are written (RFC 8829 section 5.2.1).
    pub id: u64,
    /// `sess-version`: one more in every description that differs from the last (RFC 3264
    /// section 8).
    pub version: u64,
}

impl SessionIds {
    /// The first description of a session.
    pub const fn new(id: u64) -> Self {
        SessionIds { id, version: 1 }
    }

    /// The description after this one.
    pub const fn next(self) -> Self {
        SessionIds {
            id: self.id,
            version: self.version.wrapping_add(1),
        }
    }

    /// An empty session description of ours, with `address` in `o=`.
    pub(in crate::sdp) fn session(self, address: &str) -> Session {
        let addrtype = if address.contains(':') {
            AddrType::Ip6
        } else {
            AddrType::Ip4
        };
        let origin = Origin::new(
            self.id & (u64::MAX >> 1),
            self.version,
            NetType::In,
            addrtype,
            address,
        );
        Session::new(origin, "-")
    }
}

/// An offer (RFC 3264): somebody's proposal. It is read by `read_offer` of the side that it
/// came from, or was made by `offer` of the side that it goes to.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer(pub(super) Session);

/// An answer (RFC 3264): what is left of an offer after the other end has spoken.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer(pub(super) Session);

impl Offer {
    /// Reads the text of an offer: a JSON string's or a SIP body's.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Error> {
        parse(text.as_ref()).map(Offer)
    }
}

impl Answer {
    /// Reads the text of an answer: a JSON string's or a SIP body's.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Error> {
        parse(text.as_ref()).map(Answer)
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Offer {
    /// The text without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Offer").field(&Shown(&self.0)).finish()
    }
}

impl fmt::Debug for Answer {
    /// The text without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&Shown(&self.0)).finish()
    }
}

/// A description as a log may show it.
struct Shown<'a>(&'a Session);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.to_string().lines() {
            let secret = ["a=crypto:", "a=ice-pwd:", "k="].into_iter().find(|name| {
                line.get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
            });
            match secret {
                Some(name) => write!(f, "{name}*** ")?,
                None => write!(f, "{line} ")?,
            }
        }
        Ok(())
    }
}

fn parse(text: &[u8]) -> Result<Session, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::TooLong(text.len()));
    }
    let text = clean(text)?;
    // The cleaned text has nothing that the parser refuses.
    Session::parse(text.as_bytes()).map_err(|error| Error::Malformed {
        line: 1,
        reason: error.to_string(),
    })
}
