//! Traces of the four transactions in virtual time.
