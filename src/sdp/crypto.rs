//! `a=crypto` (RFC 4568): the suites and keys of SRTP as SDP describes them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sdp_types::Attribute;

use super::media_description::{attribute, values};
use crate::srtp_keys::{CryptoSuite, MasterKey};

/// Some leave the padding of a GCM key out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Lines that are looked at; honest offers have up to eight.
const MOST_LINES: usize = 16;

/// The most packets that one key may protect (RFC 3711 section 9.2), as a power of two.
const LONGEST_LIFETIME: u32 = 48;

/// One line that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CryptoLine {
    /// Names the line: an answer repeats that of the line that it takes.
    pub(super) tag: u32,
    /// The key of whoever wrote the line, for what it sends.
    pub(super) key: MasterKey,
}

impl CryptoLine {
    /// `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...`, without a lifetime: it is the longest.
    pub(super) fn attribute(&self) -> Attribute {
        let CryptoLine { tag, key } = self;
        let master = BASE64.encode(key.master());
        attribute("crypto", format!("{tag} {} inline:{master}", key.suite()))
    }
}

/// What a media line says of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CryptoLines {
    /// What can be used, in order of preference.
    pub(super) usable: Vec<CryptoLine>,
    /// Why the first line that cannot be used cannot.
    pub(super) refused: Option<&'static str>,
}

impl CryptoLines {
    /// Whether there was any line, of use or not.
    pub(super) fn are_present(&self) -> bool {
        !self.usable.is_empty() || self.refused.is_some()
    }

    /// The reason for an error message.
    pub(super) fn reason(&self) -> &'static str {
        self.refused.unwrap_or("no line suits")
    }
}

/// Reads the lines of one media line; they mean nothing at the session's level (RFC 4568
/// section 4).
pub(super) fn read(attributes: &[Attribute]) -> CryptoLines {
    let mut lines = CryptoLines::default();
    for text in values(attributes, "crypto").take(MOST_LINES) {
        match parse(text) {
            // The same tag again says nothing (RFC 4568 section 4.1 wants it unique).
            Ok(line) if lines.usable.iter().any(|known| known.tag == line.tag) => {}
            Ok(line) => lines.usable.push(line),
            Err(reason) => {
                lines.refused.get_or_insert(reason);
            }
        }
    }
    lines
}

/// `1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20|1:4 UNENCRYPTED_SRTCP`. The reason has no part of
/// the text, for it may hold a key.
fn parse(text: &str) -> Result<CryptoLine, &'static str> {
    let mut fields = text.split_ascii_whitespace();
    let tag = fields.next().and_then(tag).ok_or("malformed tag")?;
    let suite = fields.next().ok_or("no crypto suite")?;
    let suite: CryptoSuite = suite.parse().map_err(|_| "unknown crypto suite")?;
    let keys = fields.next().ok_or("no key")?;
    if keys.contains(';') {
        // Several keys are told apart by a master key identifier.
        return Err("several keys in a line are not supported");
    }
    let master = keys
        .split_once(':')
        .and_then(|(method, master)| method.eq_ignore_ascii_case("inline").then_some(master))
        .ok_or("unknown key method")?;
    let mut parts = master.split('|');
    let master = parts.next().unwrap_or_default();
    for part in parts {
        if part.contains(':') {
            return Err("master key identifiers are not supported");
        }
        // The lifetime is its sender's to keep: the one that sends must change its key in time.
        if !is_lifetime(part) {
            return Err("malformed key lifetime");
        }
    }
    for parameter in fields {
        // A hint for our replay list, which is longer than any network needs; and what is marked
        // as optional (RFC 4568 sections 6.3.6 and 6.3.7). All others change what the packets are.
        if !parameter.starts_with('-') && !parameter.starts_with("WSH=") {
            return Err("session parameters are not supported");
        }
    }
    let master = BASE64.decode(master).map_err(|_| "malformed key")?;
    let key = MasterKey::new(suite, &master).ok_or("key of the wrong length")?;
    Ok(CryptoLine { tag, key })
}

/// One to nine digits.
fn tag(text: &str) -> Option<u32> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `2^20` or `1048576`: packets.
fn is_lifetime(text: &str) -> bool {
    let number = |digits: &str| {
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<u64>().ok()).flatten()
    };
    match text.strip_prefix("2^") {
        Some(power) => number(power).is_some_and(|power| power <= u64::from(LONGEST_LIFETIME)),
        None => number(text).is_some_and(|packets| (1..=1 << LONGEST_LIFETIME).contains(&packets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn the_lines_of_the_rfc_are_read_or_refused_for_what_they_ask() {
        // RFC 4568 sections 4.1 to 6.1 with their identifiers and parameters taken away.
        let line = parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20")).expect("a line");
        assert_eq!(line.tag, 1);
        assert_eq!(line.key.key(), b"YS___semctl () {");
        assert_eq!(line.key.salt(), b"\t220;}\n}\nunles");
        assert_eq!(
            line.attribute().value.as_deref(),
            Some(format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}").as_str())
        );
        for (text, reason) in [
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4 FEC_ORDER=FEC_SRTP"),
                "master key identifiers are not supported",
            ),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
                "master key identifiers are not supported",
            ),
            (
                format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4;inline:{KEY}|2^20|2:4"),
                "several keys in a line are not supported",
            ),
            (
                format!("2 F8_128_HMAC_SHA1_80 inline:{KEY}"),
                "unknown crypto suite",
            ),
            (
                format!("1 AEAD_AES_128_GCM inline:{KEY}"),
                "key of the wrong length",
            ),
        ] {
            assert_eq!(parse(&text), Err(reason), "{text}");
        }
        for parameter in [
            "UNENCRYPTED_SRTP",
            "UNENCRYPTED_SRTCP",
            "UNAUTHENTICATED_SRTP",
            "KDR=1",
            "FEC_KEY=inline:x",
        ] {
            let text = format!("1 AES_CM_128_HMAC_SHA1_32 inline:{KEY} {parameter}");
            assert_eq!(parse(&text), Err("session parameters are not supported"));
        }
        for harmless in ["", "|2^31", "|1048576", " WSH=128", "|2^48 -SOMETHING"] {
            let text = format!("7 aes_cm_128_hmac_sha1_32 INLINE:{KEY}{harmless}");
            let line = parse(&text).expect(harmless);
            assert_eq!(
                (line.tag, line.key.suite()),
                (7, CryptoSuite::Aes128CmSha1_32)
            );
        }
    }

    #[test]
    fn a_gcm_key_is_read_with_its_padding_and_without() {
        let key = MasterKey::from_random(CryptoSuite::AeadAes128Gcm, [9; 30]);
        let written = CryptoLine { tag: 3, key }.attribute();
        let text = written.value.expect("a value");
        assert!(text.ends_with("=="), "{text}");
        assert_eq!(parse(&text), Ok(CryptoLine { tag: 3, key }));
        assert_eq!(
            parse(text.trim_end_matches('=')),
            Ok(CryptoLine { tag: 3, key })
        );
    }

    #[test]
    fn broken_lines_are_refused() {
        for text in [
            "",
            "1",
            "1 AES_CM_128_HMAC_SHA1_80",
            "1 AES_CM_128_HMAC_SHA1_80 inline",
            "1 AES_CM_128_HMAC_SHA1_80 inline:",
            "1 AES_CM_128_HMAC_SHA1_80 inline:é",
            "1 AES_CM_128_HMAC_SHA1_80 prf:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "-1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1234567890 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^49",
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|0",
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lines_are_bounded_and_a_tag_counts_once() {
        let line = |tag: u32| {
            let key = MasterKey::from_random(CryptoSuite::Aes128CmSha1_80, [tag as u8; 30]);
            CryptoLine { tag, key }.attribute()
        };
        let many: Vec<_> = (1..=100).map(line).collect();
        assert_eq!(read(&many).usable.len(), MOST_LINES);
        let mut other = line(1);
        other.value = other.value.map(|text| text.replace("_80", "_32"));
        let lines = read(&[line(1), other]);
        assert_eq!(lines.usable.len(), 1);
        assert_eq!(lines.usable[0].key.suite(), CryptoSuite::Aes128CmSha1_80);
    }
}
