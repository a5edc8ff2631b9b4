//! The number that a URI names (RFC 3966, RFC 3261 section 19.1.6).

use super::address::user_of;
use super::uri::Uri;

/// True for a tel URI.
pub fn is_tel(uri: &str) -> bool {
    uri.get(..4)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"))
}

/// The number that a URI names: the user part without the parameters that a telephone subscriber may
/// have there (RFC 3261 section 19.1.6: `;npdi;rn=`, `;isub=`, `;phone-context=`), and of `tel:` and
/// `user=phone` without visual separators (RFC 3966 section 3). A user who has no number keeps the
/// name as it is.
pub fn number_of(uri: &str) -> String {
    let user = user_of(uri);
    if is_tel(uri) {
        return user.chars().filter(|c| !is_separator(*c)).collect();
    }
    let is_phone = Uri::read(uri).param("user");
    let is_phone = is_phone.is_some_and(|kind| kind.eq_ignore_ascii_case("phone"));
    let begins = |c: char| "+*#".contains(c) || c.is_ascii_digit() || is_phone && c == '(';
    let number = match user.split_once(';') {
        Some((number, _)) if number.starts_with(begins) => number,
        _ => &user,
    };
    // Much equipment writes user=phone beside names too: `john.doe` is no number.
    let is_part = |c: char| "+*#".contains(c) || c.is_ascii_digit() || is_separator(c);
    match is_phone && number.chars().all(is_part) && number.contains(|c: char| c.is_ascii_digit()) {
        true => number.chars().filter(|c| !is_separator(*c)).collect(),
        false => number.to_owned(),
    }
}

/// A visual separator of RFC 3966, or the space that some write for one.
fn is_separator(c: char) -> bool {
    "-.() ".contains(c)
}
