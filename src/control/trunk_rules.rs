//! What the calls of one trunk go by.

use super::routing::Rewrite;
use crate::call::Rules;
use crate::guest::is_guest_name;
use crate::media;

/// What calls through one trunk go by.
#[derive(Clone, Debug)]
pub struct TrunkRules {
    /// Codec policy and times.
    pub rules: Rules,
    /// The user part of From; none: the client's user.
    pub from_user: Option<String>,
    /// Rewrites the caller's number; the first that matches.
    pub caller_id: Vec<Rewrite>,
    /// Headers that a client may set, as they are written.
    pub client_headers: Vec<String>,
    /// Whether digits are looked for in the audio of the PBX.
    pub inband_digits: bool,
    /// Whose RTP is taken, and where audio goes.
    pub latching: media::Latching,
}

impl TrunkRules {
    /// The number or user by which the trunk knows a user of ours.
    pub(super) fn caller(&self, user: &str) -> String {
        let from_user = self.from_user.as_deref().unwrap_or(user);
        // A pattern that is meant for users must not give a guest a number.
        if is_guest_name(from_user) {
            return from_user.to_owned();
        }
        let rewritten = self
            .caller_id
            .iter()
            .find_map(|rewrite| rewrite.apply(from_user));
        rewritten.unwrap_or_else(|| from_user.to_owned())
    }
}
