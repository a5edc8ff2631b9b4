//! A media worker: one thread, one event loop, its own sockets and its own calls.
//!
//! `task` is the driver (sockets, clock, randomness); `bridge` is one call, pure; `deadlines`
//! and `demultiplexer` are the worker's tables; `sockets` binds the shared port; `watch` notices
//! silence; `reporter` decides when RTCP is due.

mod bridge;
mod deadlines;
mod demultiplexer;
mod reporter;
mod sockets;
mod task;
mod watch;

pub(super) use task::{Order, start};
