//! Rules that keys of several tables share.

use super::error::{Collector, Error};
use super::secret::Secret;
use crate::guest::is_guest_name;

/// For names that guests must not share.
const NO_GUEST: &str = "a name that does not begin with \"guest-\", which is for guests";

/// For secrets.
pub(super) const NOT_EMPTY: &str = "a secret that is not empty";

/// The table of a key: from its name to the key in full.
pub(super) type Key<'a> = &'a dyn Fn(&str) -> String;

/// Two keys that make sense only together.
pub(super) fn together(key: &str, one: bool, other: bool, expected: &str, found: &mut Collector) {
    if one != other {
        found.push(Error::shown(key, "one of two".to_owned(), expected));
    }
}

pub(super) fn not_empty(key: String, secret: Option<&Secret>, found: &mut Collector) {
    if secret.is_some_and(Secret::is_empty) {
        found.push(Error::secret(key, NOT_EMPTY));
    }
}

pub(super) fn no_guest(key: String, name: &str, found: &mut Collector) {
    if is_guest_name(name) {
        found.push(Error::value(key, name, NO_GUEST));
    }
}

/// A pattern with what `\b`, `\e` and `\f` become in double quotes; no number has such characters.
pub(super) fn no_control(key: String, pattern: &str, found: &mut Collector) {
    if pattern.contains(['\u{8}', '\u{1b}', '\u{c}']) {
        let expected = "no control characters; in double quotes \\b, \\e and \\f are such: write \
                        the pattern in single quotes";
        found.push(Error::value(key, pattern, expected));
    }
}
