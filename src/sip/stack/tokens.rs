//! Tokens that cannot be guessed: tags, branches, Call-IDs, client nonces.

use rand::Rng;
use rand::rngs::StdRng;

/// `bytes` random bytes in hexadecimal.
pub fn random_token(random: &mut StdRng, bytes: usize) -> String {
    let mut buffer = [0u8; 16];
    let buffer = &mut buffer[..bytes.min(16)];
    random.fill_bytes(buffer);
    let mut token = String::with_capacity(2 * buffer.len());
    for octet in buffer {
        for digit in [*octet >> 4, *octet & 15] {
            token.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    token
}
