//! The digits of a client's `dtmf`.

/// Symbols of one message, commas among them.
const MOST_SYMBOLS: usize = 64;
/// Commas of one message, two seconds each: what waits behind them waits no longer than that.
const MOST_COMMAS: usize = 10;

/// Whether these can be sent: keys (RFC 4733 section 3.2), and commas as pauses as in the
/// `insertDTMF` of browsers (W3C WebRTC section 7.2). A comma alone is no key.
pub(super) fn are_digits(text: &str) -> bool {
    let is_key = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d');
    let commas = text.chars().filter(|c| *c == ',').count();
    (1..=MOST_SYMBOLS).contains(&text.chars().count())
        && commas <= MOST_COMMAS
        && text.chars().any(is_key)
        && text.chars().all(|c| c == ',' || is_key(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_commas_up_to_the_limits_are_digits() {
        let longest = "1".repeat(64);
        for text in [
            "4711",
            "4,7,1,1",
            "*#abcdABCD",
            ",1",
            "1,",
            &longest,
            "1,,,,,,,,,,",
        ] {
            assert!(are_digits(text), "{text}");
        }
        let long = "1".repeat(65);
        for text in [
            "",
            ",",
            "1 2",
            "1;2",
            "12x",
            "1w2",
            "E",
            "\u{661}",
            &long,
            "1,,,,,,,,,,,",
        ] {
            assert!(!are_digits(text), "{text}");
        }
    }
}
