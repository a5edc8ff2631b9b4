//! The sdp folder.
