//! Cuts a byte stream into SIP messages (RFC 3261 section 18.3). Pure: bytes in, frames out;
//! where the stream was split between reads makes no difference.

use bytes::{Buf, Bytes, BytesMut};

use super::message::{ContentLength, content_length};

/// What the stream held next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One message, head and body.
    Message(Bytes),
    /// A double CRLF between messages (RFC 5626 section 4.4.1): answer with one CRLF.
    KeepAlive,
    /// A message whose body is over the limit was skipped; the stream is still in step.
    Oversized,
}

/// Why the stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// No end of the head within the limit.
    #[error("head of message is longer than {0} bytes")]
    HeadTooLong(usize),
    /// The length of the body cannot be known, so the next message cannot be found.
    #[error("content-length is unreadable")]
    UnknownLength,
    /// A body so long that skipping it would only feed the sender.
    #[error("body of {0} bytes is announced")]
    BodyTooLong(usize),
}

/// A body up to this many bytes beyond the limit is skipped to stay in step.
const SKIP_LIMIT: usize = 1 << 20;

/// Reads one stream.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    /// Bytes of `buffer` already searched for the end of the head.
    searched: usize,
    /// Bytes of an oversized body still to throw away.
    skip: usize,
    limit: usize,
    broken: Option<FramingError>,
}

impl Framer {
    /// A framer that accepts heads and bodies of at most `limit` bytes each.
    pub fn new(limit: usize) -> Self {
        Framer {
            buffer: BytesMut::new(),
            searched: 0,
            skip: 0,
            limit,
            broken: None,
        }
    }

    /// Takes what was read. Call [`Framer::poll`] until it has no more before pushing again: that
    /// keeps the buffer within one message and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// True while a message has begun and not ended; line ends between messages are none.
    pub fn is_amid_message(&self) -> bool {
        self.skip > 0 || self.buffer.iter().any(|b| !matches!(b, b'\r' | b'\n'))
    }

    /// The next frame; `None` when more bytes are needed. After an error nothing more comes.
    pub fn poll(&mut self) -> Result<Option<Frame>, FramingError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        if self.skip > 0 {
            let skipped = self.skip.min(self.buffer.len());
            self.buffer.advance(skipped);
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(None);
            }
            return Ok(Some(Frame::Oversized));
        }
        if self.searched == 0
            && let Some(frame) = self.between_messages()
        {
            return Ok(frame);
        }
        let Some(head) = self.head_length() else {
            if self.buffer.len() > self.limit {
                return self.fail(FramingError::HeadTooLong(self.limit));
            }
            return Ok(None);
        };
        if head > self.limit {
            return self.fail(FramingError::HeadTooLong(self.limit));
        }
        let body = match content_length(&self.buffer[..head]) {
            ContentLength::Bytes(length) => length,
            // A stream needs the length (RFC 3261 section 20.14); without one the only reading
            // that stays in step is an empty body.
            ContentLength::Missing => 0,
            ContentLength::Unreadable => {
                // The head is still worth a 400; the connection ends after it.
                self.broken = Some(FramingError::UnknownLength);
                return Ok(Some(Frame::Message(self.take(head))));
            }
        };
        if body > self.limit {
            if body > self.limit.saturating_add(SKIP_LIMIT) {
                return self.fail(FramingError::BodyTooLong(body));
            }
            self.take(head);
            self.skip = body;
            return self.poll();
        }
        if self.buffer.len() < head + body {
            return Ok(None);
        }
        Ok(Some(Frame::Message(self.take(head + body))))
    }

    /// Handles line ends before a start line. `Some(None)`: more bytes are needed to tell.
    fn between_messages(&mut self) -> Option<Option<Frame>> {
        loop {
            match self.buffer[..] {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.buffer.advance(4);
                    return Some(Some(Frame::KeepAlive));
                }
                [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Some(None),
                [b'\r', b'\n', ..] => self.buffer.advance(2),
                [b'\r' | b'\n', ..] => self.buffer.advance(1),
                _ => return None,
            }
        }
    }

    /// Length of the head with its empty line, once it is all there.
    fn head_length(&mut self) -> Option<usize> {
        // The end may straddle what was searched before: step back over a partial one.
        let mut at = self.searched.saturating_sub(3);
        while let Some(offset) = self.buffer[at..].iter().position(|&b| b == b'\n') {
            let line_end = at + offset;
            match self.buffer[line_end + 1..] {
                [b'\n', ..] => return Some(line_end + 2),
                [b'\r', b'\n', ..] => return Some(line_end + 3),
                _ => at = line_end + 1,
            }
        }
        self.searched = self.buffer.len();
        None
    }

    fn take(&mut self, length: usize) -> Bytes {
        self.searched = 0;
        self.buffer.split_to(length).freeze()
    }

    fn fail(&mut self, error: FramingError) -> Result<Option<Frame>, FramingError> {
        self.broken = Some(error);
        self.buffer = BytesMut::new();
        Err(error)
    }
}
