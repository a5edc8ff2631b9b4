//! A worker allocates nothing per packet, sockets, demultiplexing and deadlines included:
//! counted on its thread by an allocator of the test's own. libopus brings its own memory.

#![expect(clippy::disallowed_methods, reason = "real sockets, real time")]

#[expect(dead_code, reason = "shared with the tests of what a worker does")]
#[path = "media_worker/harness.rs"]
mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use harness::{LegCommand, PATIENCE, connect, opus, pcmu, worker_with};
use trunkline::codec::Direction;
use trunkline::media::Command;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// What the worker's thread had counted when it was last asked; the top bit says that it was.
static PUBLISHED: AtomicU64 = AtomicU64::new(0);
const ASKED: u64 = 1 << 63;

// SAFETY: hands everything to the system's allocator as it comes; counting touches a cell of
// the thread only, which needs no memory and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn publish() {
    PUBLISHED.store(ALLOCATIONS.with(Cell::get) | ASKED, Ordering::SeqCst);
}

/// What the worker's thread has counted.
fn counted(worker: &harness::Worker, call: &harness::Call) -> u64 {
    PUBLISHED.store(0, Ordering::SeqCst);
    let command = Command::Leg(LegCommand::Run(publish));
    worker
        .handle
        .command(call.key, command)
        .expect("the worker runs");
    let begin = Instant::now();
    while PUBLISHED.load(Ordering::SeqCst) & ASKED == 0 {
        assert!(begin.elapsed() < PATIENCE, "the worker does not answer");
        std::thread::sleep(Duration::from_millis(1));
    }
    PUBLISHED.load(Ordering::SeqCst) & !ASKED
}

#[test]
fn a_running_worker_allocates_nothing_per_packet() {
    let worker = worker_with(|config| {
        config.statistics_interval = Duration::from_secs(3_600);
        config.report_interval = Duration::from_millis(50);
    });
    for browser in [opus(Direction::SendRecv), pcmu(Direction::SendRecv)] {
        let mut call = connect(&worker, u64::from(browser.send.payload_type));
        let transcoded = browser.send.payload_type == harness::OPUS;
        let formats = Command::SetFormats {
            browser,
            pbx: pcmu(Direction::SendRecv),
        };
        worker
            .handle
            .command(call.key, formats)
            .expect("the worker runs");
        exchange(&mut call, transcoded);
        let before = counted(&worker, &call);
        assert!(before > 0, "nothing is counted on the worker's thread");
        for _ in 0..5 {
            exchange(&mut call, transcoded);
        }
        let allocated = counted(&worker, &call) - before;
        assert_eq!(allocated, 0, "for 250 packets, transcoded: {transcoded}");
        assert!(call.pbx_hears().len() >= 145 * 160);
    }
}

/// Both sides send a little.
fn exchange(call: &mut harness::Call, transcoded: bool) {
    if transcoded {
        call.browser_sends_tone(440.0, 25);
    } else {
        harness::send_tone(&mut call.browser, call.webrtc, 440.0, 25);
    }
    call.pbx_sends_tone(1_004.0, 25);
}
