//! Where log lines go: a bounded queue that never makes its callers wait, and one thread that
//! writes it out.
//!
//! A line that finds the queue full, or that cannot be written (full disk, closed pipe), is lost
//! and counted in `trunkline_log_lines_dropped_total`. The crate tracing-appender counts the first
//! kind only, bounds its queue by lines instead of bytes, and leaves half a line before the next
//! one after a write that was cut short.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts the writer's thread and reads the clock"
)]

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use super::log_format::Escaping;

/// Bytes of lines that wait to be written: some thousand lines.
const CAPACITY: usize = 1024 * 1024;

/// Wait before the next attempt where the output is non-blocking and full.
const RETRY: Duration = Duration::from_millis(20);

/// Least time between two lines that report losses.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Takes lines without waiting. Clones share one queue.
#[derive(Clone, Debug)]
pub(super) struct LogWriter {
    shared: Arc<Shared>,
    escaping: Escaping,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There are lines to write.
    filled: Condvar,
    /// Everything was written, or lost.
    emptied: Condvar,
}

/// Lines that wait, and how many were lost.
#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    is_writing: bool,
    /// Since the start of the process.
    lost: u64,
}

impl Queue {
    /// Adds one line, or loses it.
    fn push(&mut self, line: &[u8]) {
        if self.lines.len() + line.len() > CAPACITY {
            self.lost += 1;
            count(self.lost);
        } else {
            self.lines.extend_from_slice(line);
        }
    }
}

/// Counts lines lost so far: absolute, since some are lost before metrics are collected.
fn count(lost: u64) {
    metrics::counter!("trunkline_log_lines_dropped_total").absolute(lost);
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Each change is whole before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogWriter {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        escaping: Escaping,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&of_thread, output))?;
        Ok(LogWriter { shared, escaping })
    }

    /// Waits until all lines so far are written, at most for `limit`; whether they are.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let (queue, timeout) = self
            .shared
            .emptied
            .wait_timeout_while(self.shared.queue(), limit, |queue| {
                queue.is_writing || !queue.lines.is_empty()
            })
            .unwrap_or_else(PoisonError::into_inner);
        drop(queue);
        !timeout.timed_out()
    }
}

/// The formatter hands over one whole line a call.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let escaped = self.escaping.line(line);
        self.shared.queue().push(&escaped);
        self.shared.filled.notify_one();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        self.clone()
    }
}

/// Writes lines as they come, for as long as the process lasts.
fn write_out(shared: &Shared, output: impl Write) {
    let mut output = Output {
        inner: output,
        is_cut: false,
    };
    let mut lines = Vec::new();
    let mut reported = 0;
    let mut reported_at: Option<Instant> = None;
    loop {
        let mut queue = shared
            .filled
            .wait_while(shared.queue(), |queue| queue.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        lines.clear();
        std::mem::swap(&mut lines, &mut queue.lines);
        queue.is_writing = true;
        drop(queue);

        let lost_now = output.write(&lines);

        let mut queue = shared.queue();
        queue.is_writing = false;
        if lost_now > 0 {
            queue.lost += lost_now;
            count(queue.lost);
        }
        let lost = queue.lost;
        let is_empty = queue.lines.is_empty();
        drop(queue);
        if is_empty {
            shared.emptied.notify_all();
        }
        let may_report = reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if lost_now == 0 && lost > reported && may_report {
            tracing::warn!(
                lines = lost - reported,
                "log lines were lost: they could not be written in time"
            );
            reported = lost;
            reported_at = Some(Instant::now());
        }
    }
}

/// The output, and whether its last line is incomplete.
struct Output<W> {
    inner: W,
    is_cut: bool,
}

impl<W: Write> Output<W> {
    /// Writes lines; gives how many were lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.is_cut {
            // The rest of that line is lost: the next one begins on a line of its own.
            if self.attempt(b"\n") > 0 {
                return count_lines(lines);
            }
            self.is_cut = false;
        }
        let left = self.attempt(lines);
        let (written, rest) = lines.split_at(lines.len() - left);
        if !rest.is_empty() {
            self.is_cut = written.last().is_some_and(|last| *last != b'\n');
        }
        count_lines(rest)
    }

    /// Writes until everything is written, or the output fails; gives the bytes left.
    fn attempt(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.inner.write(rest) {
                Ok(0) => break,
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY);
                }
                Err(_) => break,
            }
        }
        rest.len()
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes so many bytes and then fails with this error.
    struct Disk {
        room: usize,
        error: io::ErrorKind,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(self.error.into());
            }
            let fits = bytes.len().min(self.room);
            self.room -= fits;
            self.content.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(room: usize, error: io::ErrorKind) -> Output<Disk> {
        Output {
            inner: Disk {
                room,
                error,
                content: Vec::new(),
            },
            is_cut: false,
        }
    }

    #[test]
    fn lines_after_a_full_disk_are_whole_and_lost_ones_are_counted() {
        let mut output = output(10, io::ErrorKind::StorageFull);
        assert_eq!(output.write(b"first\nsecond\nthird\n"), 2);
        assert_eq!(output.write(b"fourth\n"), 1, "still full");
        output.inner.room = 1_000;
        assert_eq!(output.write(b"fifth\n"), 0);
        assert_eq!(output.inner.content, b"first\nseco\nfifth\n");
    }

    #[test]
    fn every_kind_of_write_error_loses_its_lines_only() {
        for error in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::Other,
        ] {
            let mut output = output(6, error);
            assert_eq!(output.write(b"first\nsecond\n"), 1, "{error:?}");
            output.inner.room = 1_000;
            assert_eq!(output.write(b"third\n"), 0, "{error:?}");
            assert_eq!(output.inner.content, b"first\nthird\n", "{error:?}");
        }
    }

    #[test]
    fn a_full_queue_loses_new_lines_and_keeps_old_ones() {
        let mut queue = Queue::default();
        let line = vec![b'x'; CAPACITY / 4];
        for _ in 0..6 {
            queue.push(&line);
        }
        assert_eq!((queue.lines.len(), queue.lost), (CAPACITY, 2));
    }

    /// Stands still until it is told to go on.
    struct Stalled {
        go_on: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Without a sender it no longer waits.
            let _ = self.go_on.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_caller_waits() {
        let (go_on, waits) = mpsc::channel();
        let (written, content) = mpsc::channel();
        let stalled = Stalled {
            go_on: waits,
            written,
        };
        let mut writer = LogWriter::start(stalled, Escaping::Text).expect("a thread");
        let line = [vec![b'x'; 1_023], vec![b'\n']].concat();
        for _ in 0..5_000 {
            writer.write_all(&line).expect("never fails");
        }
        assert!(!writer.flush(Duration::ZERO), "nobody reads");
        let lost = writer.shared.queue().lost;
        assert!((2_900..=3_980).contains(&lost), "{lost} of 5000 lost");
        drop(go_on);
        assert!(writer.flush(Duration::from_secs(60)));
        let bytes: usize = content.try_iter().map(|part| part.len()).sum();
        assert_eq!(bytes as u64, (5_000 - lost) * 1_024);
    }
}
