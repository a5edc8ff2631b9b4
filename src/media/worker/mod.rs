//! A media worker: one thread, one event loop, its own sockets and its own calls.
//!
//! `bridge` is one call: `browser_end`, its browser's transport, and its list of `stream`s. Each
//! `audio_stream` has `paths`, the two directions, and `pbx_end`, the PBX's side; `watch` notices its
//! silence, `reporter` decides when its RTCP is due. `demultiplexer` and `call_table` are
//! the worker's tables. The driver is `start` (with `sockets`, which binds the shared port), `task`
//! (what comes in) and `delivery` (what goes out).

mod audio_stream;
mod bridge;
mod bridge_config;
mod browser_end;
mod call_socket;
mod call_table;
mod delivery;
mod demultiplexer;
mod order;
mod outgoing;
mod paths;
mod pbx_end;
mod reporter;
mod sockets;
mod start;
mod stream;
mod task;
mod watch;

pub(super) use order::Order;
pub(super) use start::start;
