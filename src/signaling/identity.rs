//! Who signed in, and what may be a user's name.

use crate::guest::is_guest_name;

/// Who signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's name: what routes go by and what the PBX sees as the caller's number.
    pub user: String,
    /// The name that called parties see.
    pub display_name: Option<String>,
}

/// What may name a user, and is no guest's name.
pub(super) fn is_user_name(name: &str) -> bool {
    is_plain(name) && !is_guest_name(name)
}

/// What may stand in the user part of a SIP URI without escaping.
pub(super) fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
}

#[cfg(test)]
mod tests {
    use super::is_user_name;

    #[test]
    fn user_name_is_none_that_guests_have() {
        assert!(is_user_name("alice.1+2"));
        for name in ["guest-1", "Guest-1", "", "a b"] {
            assert!(!is_user_name(name), "{name}");
        }
    }
}
