//! The lines of a session description that an answer must mirror.

/// Every media line of a description, in order, and which of them is the audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaLines {
    pub(super) lines: Vec<MediaLine>,
    pub(super) audio: usize,
}

/// As much of a media line as is needed to reject it in place (RFC 3264 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaLine {
    pub(super) media: String,
    pub(super) proto: String,
    pub(super) formats: String,
    pub(super) mid: Option<String>,
}
