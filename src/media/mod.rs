//! The media folder.
