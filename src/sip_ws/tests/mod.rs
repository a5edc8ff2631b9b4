//! Traces of one client in virtual time: what it sends, what the gateway sends.

mod bindings;
mod calls_in;
mod calls_out;
mod hostile;
mod registering;
mod setup;
