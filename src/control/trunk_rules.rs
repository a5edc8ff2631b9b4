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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::DigitsBy;
    use crate::sdp;

    fn trunk(from_user: Option<&str>) -> TrunkRules {
        let rewrite = Rewrite::new("(.+)", "+49$1").expect("a rewrite");
        TrunkRules {
            rules: Rules {
                browser: sdp::BrowserPolicy::default(),
                trunk: sdp::TrunkPolicy::default(),
                ring_timeout: Duration::from_secs(60),
                connect_timeout: Duration::from_secs(30),
                media_timeout: None,
                detach_grace: Duration::ZERO,
                delayed_offer: false,
                digits: DigitsBy::Media,
            },
            from_user: from_user.map(str::to_owned),
            caller_id: vec![rewrite],
            client_headers: Vec::new(),
            inband_digits: false,
            latching: media::Latching::default(),
        }
    }

    #[test]
    fn caller_of_a_trunk_is_its_own_user_or_the_clients_rewritten() {
        assert_eq!(trunk(None).caller("30123"), "+4930123");
        assert_eq!(trunk(Some("800")).caller("30123"), "+49800");
    }

    #[test]
    fn guest_gets_no_number_by_a_rewrite_for_users() {
        assert_eq!(trunk(None).caller("guest-carol"), "guest-carol");
    }
}
