//! The ids of calls and endpoints, and the secret by which a client takes its call up again.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::redacted::Redacted;

/// One endpoint of a user: a client's connection, or what stands for it; unique in the process.
/// Only its door knows how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u64);

/// As clients and logs write it.
impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s-{}", self.0)
    }
}

/// Names a call in all processes: 128 random bits, which cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(u128);

impl CallId {
    /// From random bits.
    pub const fn new(random: u128) -> Self {
        CallId(random)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Proves that a client took part in the call before: 256 random bits, in no log.
#[derive(Clone, Copy, Debug)]
pub struct ResumeToken(Redacted<[u8; 32]>);

impl ResumeToken {
    /// From random bits.
    pub const fn new(random: [u8; 32]) -> Self {
        ResumeToken(Redacted::new(random))
    }

    /// As the client of the call keeps it: 64 hexadecimal digits.
    pub fn reveal(&self) -> Redacted<String> {
        let digits = self.0.reveal().iter().map(|byte| format!("{byte:02x}"));
        Redacted::new(digits.collect())
    }

    /// Whether a client shows this token. The time that it takes depends on the length alone.
    pub fn is(&self, shown: &Redacted<String>) -> bool {
        let token = self.reveal();
        let (token, shown) = (token.reveal().as_bytes(), shown.reveal().as_bytes());
        token.ct_eq(shown).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_id_is_written_in_32_hexadecimal_digits() {
        assert_eq!(CallId::new(0xab).to_string(), format!("{:0>32}", "ab"));
        assert_eq!(CallId::new(u128::MAX).to_string(), "f".repeat(32));
    }

    #[test]
    fn resume_token_is_known_by_its_digits_only() {
        let token = ResumeToken::new([0xa5; 32]);
        let shown = |text: &str| Redacted::new(text.to_owned());
        assert_eq!(token.reveal().reveal(), &"a5".repeat(32));
        assert!(token.is(&token.reveal()));
        for wrong in [
            "",
            "a5",
            &"A5".repeat(32),
            &"a5".repeat(33),
            &"00".repeat(32),
        ] {
            assert!(!token.is(&shown(wrong)), "{wrong}");
        }
    }

    #[test]
    fn resume_token_is_not_in_debug_output() {
        let token = ResumeToken::new([0xa5; 32]);
        assert!(!format!("{token:?} {:?}", token.reveal()).contains("a5"));
    }
}
