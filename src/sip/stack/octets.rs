//! Octets that are not UTF-8 (RFC 3261 section 7.3.1 wants UTF-8, equipment writes ISO 8859): header
//! values are text here, and what must come back to a peer comes back octet for octet.
//!
//! Each octet that is no part of UTF-8 stands in the text as one character of a block of the Private
//! Use Area, U+EF80 to U+EFFF. Characters of that block that are received as UTF-8 are kept as their
//! three octets, so that nothing is ambiguous.

use std::borrow::Cow;

/// Character of the octet 0x80.
const FIRST: u32 = 0xef80;
/// What each such character begins with in UTF-8.
const LEAD: u8 = 0xee;

/// Received octets as text; borrowed where they are UTF-8 without the characters that stand for
/// octets.
pub fn text(octets: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(octets)
        && !may_hold(text)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(octets.len() + 16);
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match is_octet(c) {
                true => push_octets(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                false => text.push(c),
            }
        }
        push_octets(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// The octets of a text, as they were received.
pub fn octets(text: String) -> Vec<u8> {
    if !may_hold(&text) {
        return text.into_bytes();
    }
    let mut octets = Vec::with_capacity(text.len());
    for c in text.chars() {
        match octet(c) {
            Some(octet) => octets.push(octet),
            None => octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    octets
}

/// A text for people: U+FFFD where no character can be read.
pub fn shown(text: String) -> String {
    match may_hold(&text) {
        true => String::from_utf8_lossy(&octets(text)).into_owned(),
        false => text,
    }
}

fn may_hold(text: &str) -> bool {
    text.as_bytes().contains(&LEAD) && text.chars().any(is_octet)
}

fn is_octet(c: char) -> bool {
    octet(c).is_some()
}

fn octet(c: char) -> Option<u8> {
    let offset = u32::from(c).checked_sub(FIRST)?;
    u8::try_from(offset)
        .ok()
        .filter(|octet| *octet < 0x80)
        .map(|octet| octet | 0x80)
}

fn push_octets(text: &mut String, octets: &[u8]) {
    let characters = octets.iter().map(|octet| FIRST + u32::from(octet & 0x7f));
    text.extend(characters.filter_map(char::from_u32));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn latin_1_is_written_back_and_shown_as_unreadable() {
        let received = b"sip:M\xfcller@pbx";
        let text = text(received).into_owned();
        assert_eq!(octets(text.clone()), received);
        assert_eq!(shown(text), "sip:M\u{fffd}ller@pbx");
    }

    #[test]
    fn utf_8_is_borrowed() {
        assert!(matches!(text("M\u{fc}ller".as_bytes()), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_octets_come_back(octets_in in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(octets(text(&octets_in).into_owned()), octets_in);
        }

        #[test]
        fn characters_of_the_block_come_back(received in "[\u{ef70}-\u{f010}a]{0,8}") {
            let read = text(received.as_bytes()).into_owned();
            prop_assert_eq!(octets(read), received.into_bytes());
        }
    }
}
