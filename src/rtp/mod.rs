//! The rtp folder.
