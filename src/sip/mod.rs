//! The sip folder.
