//! Our requests of one dialog that go one at a time: those that wait for the answer to the one
//! before.

use std::collections::VecDeque;

use bytes::Bytes;

/// Our INFOs of one dialog: one at a time, so that digits keep their order over UDP.
#[derive(Debug, Default)]
pub struct DialogInfos {
    pub(super) under_way: bool,
    pub(super) waiting: VecDeque<(String, Bytes)>,
}

/// Our MESSAGEs of one dialog: one at a time (RFC 3428 section 8), so that texts keep their order.
#[derive(Debug, Default)]
pub struct DialogMessages {
    /// The reference of the one under way.
    pub(super) under_way: Option<Option<String>>,
    /// Reference and text.
    pub(super) waiting: VecDeque<(Option<String>, String)>,
}
