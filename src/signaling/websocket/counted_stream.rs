//! A client's octets, each frame of which takes a token before it is read.
#![expect(clippy::disallowed_methods, reason = "a driver: reads the clock")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::frames::FramePosition;
use crate::token_bucket::{Rate, TokenBucket};

/// A stream that fails to be read at the first frame beyond the rate.
pub(super) struct CountedStream<S> {
    stream: S,
    position: FramePosition,
    rate: Rate,
    bucket: TokenBucket,
    is_exceeded: bool,
}

impl<S: AsyncRead + Unpin> CountedStream<S> {
    pub(super) fn new(stream: S, rate: Rate) -> Self {
        CountedStream {
            stream,
            position: FramePosition::default(),
            rate,
            bucket: TokenBucket::default(),
            is_exceeded: false,
        }
    }

    /// Whether more frames came than are allowed.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Reads what still comes, and forgets it.
    pub(super) async fn drain(&mut self) {
        let _ = tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if !this.is_exceeded {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = &buffer.filled()[before..];
            let (length, now) = (read.len(), Instant::now().into_std());
            let (rate, bucket) = (this.rate, &mut this.bucket);
            let accepted = this
                .position
                .advance(read, || bucket.take(rate, now).is_ok());
            if accepted == length {
                return Poll::Ready(Ok(()));
            }
            this.is_exceeded = true;
            buffer.set_filled(before + accepted);
            if accepted > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Ready(Err(io::Error::other("too many frames")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
