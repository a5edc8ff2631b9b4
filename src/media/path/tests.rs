//! Traces of a path.
