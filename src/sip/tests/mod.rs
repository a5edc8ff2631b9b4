//! Traces of the whole user agent.
