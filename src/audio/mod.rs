//! The audio folder.
