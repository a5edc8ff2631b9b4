//! A media worker: one thread, one event loop, its own sockets and its own calls.
//!
//! `bridge` is one call with `browser_end` and `pbx_end`, its two sides, and `paths`, its two
//! directions of audio;
//! `watch` notices its silence, `reporter` decides when its RTCP is due. `call_table` and
//! `demultiplexer` are the worker's tables, pure. The driver is `start` (with `sockets`, which
//! binds the shared port), `task` (what comes in) and `delivery` (what goes out).

mod bridge;
mod bridge_config;
mod browser_end;
mod call_table;
mod delivery;
mod demultiplexer;
mod order;
mod paths;
mod pbx_end;
mod reporter;
mod sockets;
mod start;
mod task;
mod watch;

pub(super) use order::Order;
pub(super) use start::start;
