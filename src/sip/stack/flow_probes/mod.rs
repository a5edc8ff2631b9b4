//! Flows that are kept open (RFC 5626 section 4.4): what is sent by them, and whether they still
//! hold. [`FlowProbes`] is all of them; `flow_probe` is the STUN probe of one, `kept_flow` one flow
//! with its pace.

mod flow_probe;
#[expect(clippy::module_inception, reason = "the folder's own type")]
mod flow_probes;
mod kept_flow;

#[cfg(test)]
mod tests;

pub use flow_probes::{FlowAction, FlowProbes, KeepAliveTerms};
