//! Finding the target (RFC 3263): from the host, port and transport of a URI to an ordered list of
//! addresses.
//!
//! [`Locator`] is pure: it holds what is known of names, says what to ask of the DNS, takes the
//! answers. `procedure` is sections 4.1 and 4.2 over what is known, `selection` the choice by
//! priority and weight (RFC 2782), `resolver` the driver that asks.

mod locator;
mod procedure;
mod record;
mod resolver;
mod selection;

#[cfg(test)]
mod tests;

pub use locator::{Located, Locator};
pub use procedure::{Place, Reach};
pub use record::{Answer, NaptrRecord, Question, Records, SrvRecord};
pub use resolver::Resolver;
pub use selection::arrange;
