//! The peer folder.
