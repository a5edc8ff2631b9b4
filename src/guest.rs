//! Vocabulary: the names of guests, who have signed in without credentials.

use crate::display_name::visible;

/// What the name of each guest begins with, in letters of either case. No user, no token and no
/// number may have such a name, so that the name alone tells a guest.
pub const GUEST_PREFIX: &str = "guest-";

/// Whether a name or number is one that guests have.
pub fn is_guest_name(name: &str) -> bool {
    name.get(..GUEST_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(GUEST_PREFIX))
}

/// The display name of a caller, without hidden characters: that of a guest says what it is,
/// whatever name the page gave.
pub fn display_name(user: &str, given: Option<String>) -> Option<String> {
    let given = given.as_deref().and_then(visible);
    if !is_guest_name(user) {
        return given;
    }
    Some(match given {
        Some(name) => format!("Guest ({name})"),
        None => "Guest".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_name_is_told_by_its_prefix_in_either_case() {
        for name in ["guest-1", "GUEST-7", "Guest-", "guest-alice"] {
            assert!(is_guest_name(name), "{name}");
        }
        for name in ["guest", "guests", "alice", "", "güest-1", "gu\u{e9}st-"] {
            assert!(!is_guest_name(name), "{name}");
        }
    }

    #[test]
    fn guest_display_name_says_guest() {
        let given = |name: &str| Some(name.to_owned());
        assert_eq!(display_name("alice", given("Alice")), given("Alice"));
        assert_eq!(display_name("alice", None), None);
        assert_eq!(display_name("guest-1", None), given("Guest"));
        let shown = display_name("guest-1", given("+49301234"));
        assert_eq!(shown, given("Guest (+49301234)"));
    }

    #[test]
    fn display_name_has_no_hidden_characters() {
        let given = |name: &str| Some(name.to_owned());
        let shown = display_name("alice", given("\u{202e}ecilA\u{2028}"));
        assert_eq!(shown, given("ecilA"));
        // It cannot close the parenthesis to the reader's eye.
        let shown = display_name("guest-1", given("x\u{202e}("));
        assert_eq!(shown, given("Guest (x()"));
        assert_eq!(display_name("guest-1", given("\u{200b}")), given("Guest"));
        assert_eq!(display_name("alice", given("\u{200b}")), None);
    }
}
