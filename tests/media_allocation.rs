//! A path allocates nothing per packet once it runs: counted by an allocator of the test's
//! own. libopus brings its own memory and is not counted; it takes it when a coder is made.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};
use trunkline::audio::{EncoderSettings, Law, OpusEncoder, Tone, encode};
use trunkline::codec::{
    AudioFormat, Codec, Direction, EventFormat, OpusParameters, ReceiveFormat, SendFormat,
};
use trunkline::media::pipeline::{Config, Pipeline, StreamIdentity};
use trunkline::rtp::{Header, NtpTime, TelephoneEvent};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

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

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn side(codec: Codec) -> AudioFormat {
    let payload_type = codec.static_payload_type().unwrap_or(111);
    let events = EventFormat {
        payload_type: 101,
        clock_rate: codec.clock_rate(),
    };
    AudioFormat {
        send: SendFormat {
            codec,
            payload_type,
            ptime: 20,
            opus: OpusParameters {
                inband_fec: true,
                ..OpusParameters::default()
            },
        },
        receive: vec![ReceiveFormat {
            codec,
            payload_type,
        }],
        send_events: Some(events),
        receive_events: vec![events],
        direction: Direction::SendRecv,
    }
}

/// Ten seconds of a source: audio, now and then a key, all in order.
fn packets(codec: Codec) -> Vec<Vec<u8>> {
    let settings = EncoderSettings {
        complexity: 0,
        maximum_bitrate: None,
        inband_fec: true,
        constant_bitrate: false,
    };
    let mut opus = OpusEncoder::new(8_000, settings).expect("libopus");
    opus.set_loss(0.1).expect("libopus");
    let mut tone = Tone::new(&[(440.0, -10.0)], 8_000);
    let ticks = codec.clock_rate() / 50;
    (0..500_u32)
        .map(|number| {
            let key = number % 100;
            let mut payload = Vec::new();
            let pressed = key < 10;
            if pressed {
                TelephoneEvent {
                    event: 5,
                    end: key >= 7,
                    volume: 10,
                    duration: ((key + 1).min(8) * ticks) as u16,
                }
                .write(&mut payload);
            } else {
                let mut samples = [0; 160];
                tone.fill(&mut samples);
                match codec {
                    Codec::Opus => {
                        opus.encode(&samples, &mut payload).expect("20 ms");
                    }
                    Codec::Pcmu => encode(Law::Mu, &samples, &mut payload),
                    Codec::Pcma => encode(Law::A, &samples, &mut payload),
                }
            }
            let mut packet = Vec::new();
            Header {
                marker: false,
                payload_type: if pressed {
                    101
                } else {
                    codec.static_payload_type().unwrap_or(111)
                },
                sequence: number as u16,
                timestamp: (number - if pressed { key } else { 0 }) * ticks,
                ssrc: 1,
            }
            .write(&mut packet);
            packet.extend(payload);
            packet
        })
        .collect()
}

/// Runs all packets through the path, some lost and some in the wrong order, with reports and
/// digits of our own; returns how many came out.
fn run(path: &mut Pipeline, packets: &[Vec<u8>], start: Instant, out: &mut Vec<u8>) -> u64 {
    let mut sent = 0;
    let mut now = start;
    for (number, packet) in packets.iter().enumerate() {
        let packet = match number % 50 {
            17 => continue,
            30 => &packets[number + 1],
            31 => &packets[number - 1],
            _ => packet,
        };
        while let Some(due) = path.poll_timeout().filter(|due| *due <= now) {
            path.handle_timeout(due);
        }
        path.handle_packet(packet, now);
        if number % 200 == 150 {
            path.send_digits("5", Duration::from_millis(100), now)
                .expect("a key");
        }
        if number % 100 == 0 {
            let report = path.reception_report(now);
            out.clear();
            path.sender_report(now, NtpTime(0), report.as_ref(), "cname", out);
            path.handle_receiver_rtcp(out, NtpTime(0));
        }
        path.set_reported_loss(if number > 250 { 0.1 } else { 0.0 });
        while path.poll_packet(out) {
            sent += 1;
        }
        while path.poll_event().is_some() {}
        now += Duration::from_millis(20);
    }
    sent
}

#[test]
fn a_running_path_allocates_nothing() {
    let pairs = Codec::ALL.map(|from| Codec::ALL.map(|to| (from, to)));
    for (from, to) in pairs.into_iter().flatten() {
        // Digits as events, and as tones.
        for to_side in [
            side(to),
            AudioFormat {
                send_events: None,
                ..side(to)
            },
        ] {
            let identity = StreamIdentity {
                ssrc: 9,
                first_sequence: 1,
                first_timestamp: 2,
            };
            let mut path = Pipeline::new(&Config::default(), &side(from), &to_side, identity)
                .expect("libopus");
            let packets = packets(from);
            // Two rounds with the same numbers would be duplicates: the second half is counted.
            let (first, second) = packets.split_at(250);
            let mut out = Vec::with_capacity(2_048);
            #[expect(
                clippy::disallowed_methods,
                reason = "a test needs some instant to begin with"
            )]
            let start = Instant::now();
            run(&mut path, first, start, &mut out);
            let before = allocations();
            let sent = run(&mut path, second, start + Duration::from_secs(5), &mut out);
            assert!(sent > 240, "{from} to {to}: {sent} packets");
            assert_eq!(allocations() - before, 0, "{from} to {to}");
        }
    }
}

#[test]
fn the_allocator_counts() {
    let before = allocations();
    let something = std::hint::black_box(Vec::<u8>::with_capacity(10));
    drop(something);
    assert_eq!(allocations() - before, 1);
}
