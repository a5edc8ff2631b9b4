//! DTLS (RFC 6347, RFC 5764) by `rtc-dtls`, made fit for a lossy and hostile network.

mod association;
mod keys;
mod records;

pub(super) use association::{Association, DtlsEvent};
