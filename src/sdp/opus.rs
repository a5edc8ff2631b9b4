//! The `a=fmtp` of Opus (RFC 7587 section 6.1), read and written.
