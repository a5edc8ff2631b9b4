//! What the user agent holds, in bytes: counted by an allocator of this test's own.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

#[path = "fixtures/user_agent.rs"]
mod user_agent;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use trunkline::sip::{Flow, Transport, UserAgent};

use crate::user_agent::{PEER, user_agent};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged; only the sizes are added up beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is ours.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: usize = 10_000;

fn options(number: usize) -> Bytes {
    format!(
        "OPTIONS sip:ping@192.0.2.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.2:5060;rport;branch=z9hG4bK-524287-1---{number:016x}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:ping@192.0.2.2>;tag={number:08x}\r\n\
         To: <sip:ping@192.0.2.1>\r\nCall-ID: {number:032x}@192.0.2.2\r\nCSeq: 1 OPTIONS\r\n\
         Contact: <sip:ping@192.0.2.2:5060>\r\nUser-Agent: some PBX of some version\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into()
}

#[test]
fn a_finished_transaction_is_small_and_goes_with_its_timer() {
    let mut agent = user_agent(&[Transport::Udp], 1);
    let peer = PEER.parse().expect("an address");
    let flow = Flow::new(Transport::Udp, 0, peer);
    let mut now = Instant::now();
    let mut round = |agent: &mut UserAgent, from: usize| {
        let before = HELD.load(Ordering::Relaxed);
        for number in from..from + COUNT {
            agent.handle_message(&options(number), flow, now);
            assert!(agent.poll_transmit().is_some());
            while agent.poll_event().is_some() {}
        }
        assert_eq!(agent.transactions(), COUNT);
        let held = HELD.load(Ordering::Relaxed).saturating_sub(before) / COUNT;
        now += Duration::from_secs(33);
        agent.handle_timeout(now);
        assert_eq!(agent.transactions(), 0);
        (before, held)
    };
    let (empty, each) = round(&mut agent, 0);
    println!("{each} bytes for each finished transaction");
    assert!(each <= 2_048, "{each} bytes for each finished transaction");
    // What is left is the room of the tables, not what was in them: another round adds nothing.
    let (after_one, _) = round(&mut agent, COUNT);
    let (after_two, _) = round(&mut agent, 2 * COUNT);
    assert!(after_two <= after_one + 4_096, "{after_one} {after_two}");
    let room = after_one.saturating_sub(empty) / COUNT;
    assert!(room <= 1_024, "{room} bytes of room for each");
}
