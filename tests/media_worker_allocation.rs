//! A worker allocates nothing per packet, sockets, demultiplexing and deadlines included, but the
//! buffer that `rtc-srtp` returns: counted by an allocator of the test's own on all threads but the
//! test's. libopus brings its own memory.

#![expect(clippy::disallowed_methods, reason = "real sockets, real time")]

#[expect(dead_code, reason = "shared with the tests of what a worker does")]
#[path = "media_worker/harness.rs"]
mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{connect, opus, pcmu, worker_with};
use trunkline::codec::Direction;
use trunkline::media::{AudioCommand, Command, MediaEvent, StreamId};
use trunkline::rtp::is_rtcp;
use trunkline::srtp::{Packet, Session};
use trunkline::srtp_keys::{CryptoSuite, LONGEST_MASTER, MasterKey, SrtpKeys};

struct Counting;

thread_local! {
    /// The test's own thread, which is not counted but where it asks for it.
    static OWN: Cell<bool> = const { Cell::new(false) };
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

fn count() {
    if !OWN.with(Cell::get) {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: hands everything to the system's allocator as it comes; counting touches a cell of
// the thread and an atomic only, which need no memory and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a function allocates on this thread.
fn allocated(function: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    OWN.set(false);
    function();
    OWN.set(true);
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

/// What `rtc-srtp` allocates for one packet.
#[derive(Debug)]
struct OfSrtp {
    protect_rtp: u64,
    protect_rtcp: u64,
    unprotect_rtp: u64,
}

impl OfSrtp {
    /// Measured on a session of the suite that browsers take.
    fn measure() -> Self {
        let key = MasterKey::from_random(CryptoSuite::AeadAes128Gcm, [7; LONGEST_MASTER]);
        let keys = SrtpKeys {
            send: key,
            receive: key,
        };
        let mut session = Session::new(&keys).expect("keys");
        let (mut secured, mut plain) = (Vec::with_capacity(2_048), Vec::with_capacity(2_048));
        let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
        let mut of_srtp = OfSrtp {
            protect_rtp: 0,
            protect_rtcp: 0,
            unprotect_rtp: 0,
        };
        // The first packets make the state of their stream.
        for number in 0..10_u8 {
            let mut packet = vec![0x80, 111, 0, number, 0, 0, 0, 0, 0, 0, 0, 7];
            packet.extend_from_slice(&[0xff; 160]);
            of_srtp.protect_rtcp = allocated(|| {
                let protected = session.protect(Packet::Rtcp, &report, &mut secured);
                protected.expect("a report");
            });
            of_srtp.protect_rtp = allocated(|| {
                let protected = session.protect(Packet::Rtp, &packet, &mut secured);
                protected.expect("a packet");
            });
            of_srtp.unprotect_rtp = allocated(|| {
                let unprotected = session.unprotect(Packet::Rtp, &secured, &mut plain);
                unprotected.expect("authentic");
            });
        }
        of_srtp
    }
}

#[test]
fn a_running_worker_allocates_nothing_per_packet() {
    OWN.set(true);
    let of_srtp = OfSrtp::measure();
    assert!(of_srtp.protect_rtp > 0, "nothing is counted");
    assert!(
        of_srtp.protect_rtp <= 1 && of_srtp.unprotect_rtp <= 1,
        "{of_srtp:?}"
    );
    let mut worker = worker_with(|config| {
        config.statistics_interval = Duration::from_secs(3_600);
        config.report_interval = Duration::from_millis(50);
    });
    // The browser sends no checks while nobody drives it, and neither does a lite agent.
    worker.lite = true;
    for browser in [opus(Direction::SendRecv), pcmu(Direction::SendRecv)] {
        let mut call = connect(&worker, u64::from(browser.send.payload_type));
        let transcoded = browser.send.payload_type == harness::OPUS;
        let formats = AudioCommand::SetFormats {
            browser,
            pbx: pcmu(Direction::SendRecv),
        }
        .to(StreamId::FIRST_AUDIO);
        worker
            .handle
            .command(call.key, formats)
            .expect("the worker runs");
        exchange(&mut call, transcoded);
        // A report may be under way when the counting begins or ends: not three times.
        let exact = (0..3).any(|_| {
            let (allocated, by_srtp) = count_exchanges(&mut call, transcoded, &of_srtp);
            println!("transcoded {transcoded}: {allocated}, {by_srtp} of them by rtc-srtp");
            allocated == by_srtp
        });
        assert!(exact, "for 250 packets, transcoded: {transcoded}");
        assert!(call.pbx_hears().len() >= 145 * 160);
        worker
            .handle
            .command(call.key, Command::Close)
            .expect("the worker runs");
        call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
    }
}

/// What is allocated for 250 packets, and what `rtc-srtp` allocates for them.
fn count_exchanges(call: &mut harness::Call, transcoded: bool, of_srtp: &OfSrtp) -> (u64, u64) {
    received_as_it_is(call);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    assert!(before > 0, "nothing is counted on the worker's thread");
    for _ in 0..5 {
        exchange(call, transcoded);
    }
    let received = received_as_it_is(call);
    let allocated = ALLOCATIONS.load(Ordering::SeqCst) - before;
    let media = received.iter().filter(|datagram| datagram[0] >> 6 == 2);
    let (reports, packets): (Vec<_>, Vec<_>) = media.partition(|datagram| is_rtcp(datagram));
    assert!(packets.len() >= 120 && reports.len() > 1, "{packets:?}");
    assert_eq!(
        received.len(),
        packets.len() + reports.len(),
        "nobody checks"
    );
    let by_srtp = 125 * of_srtp.unprotect_rtp
        + packets.len() as u64 * of_srtp.protect_rtp
        + reports.len() as u64 * of_srtp.protect_rtcp;
    (allocated, by_srtp)
}

/// What came for the browser until nothing more comes.
fn received_as_it_is(call: &harness::Call) -> Vec<Vec<u8>> {
    let next = || call.browser.receive_as_it_is(Duration::from_millis(20));
    let mut received = Vec::new();
    // Reports never end.
    let mut quiet = 0;
    while quiet < 3 {
        match next() {
            Some((datagram, _)) => {
                quiet = if is_rtcp(&datagram) { quiet + 1 } else { 0 };
                received.push(datagram);
            }
            None => quiet += 1,
        }
    }
    received
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
