//! What is known about a stream that is received: order, loss, jitter, and the report about it
//! (RFC 3550 section 6.4 and appendices A.1, A.3, A.8).

use super::sequence::{RtpTimestampExt, SequenceExtender};
use super::{NtpTime, ReportBlock};
use std::time::{Duration, Instant};

/// A jump ahead of more than this is a restart or a stray packet (RFC 3550 appendix A.1).
const MAXIMUM_DROPOUT: u64 = 3_000;
/// A packet further back than this likewise.
const MAXIMUM_MISORDER: u64 = 100;

/// Where a packet stands among those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The highest number yet: directly after the last, or with some missing between.
    Ahead(u64),
    /// It fills an earlier hole.
    Behind(u64),
    /// It was here before.
    Duplicate,
    /// A number far off. Not counted as received: the next decides.
    Suspect,
    /// The second packet of a sequence that begins anew: everything is counted from here.
    Restarted(u64),
}

/// State of one received stream.
#[derive(Clone, Debug)]
pub struct Reception {
    ssrc: u32,
    extender: SequenceExtender,
    /// First extended number of the present sequence.
    base: u64,
    /// Bit n: the packet n before the highest has come.
    window: u128,
    /// What the next number must be to believe in a restart.
    suspect: Option<u16>,
    received: u64,
    /// Expected and received of sequences before a restart.
    expected_before: u64,
    expected_at_report: u64,
    received_at_report: u64,
    jitter: Jitter,
    last_sender_report: Option<(NtpTime, Instant)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    last: Option<(u32, u32, Instant)>,
    /// Sixteen times the estimate, in ticks (appendix A.8).
    scaled: u64,
    clock_rate: u32,
}

impl Reception {
    /// A stream of which nothing has come yet.
    pub fn new(ssrc: u32) -> Self {
        Reception {
            ssrc,
            extender: SequenceExtender::default(),
            base: 0,
            window: 0,
            suspect: None,
            received: 0,
            expected_before: 0,
            expected_at_report: 0,
            received_at_report: 0,
            jitter: Jitter::default(),
            last_sender_report: None,
        }
    }

    /// The stream's source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Counts a packet.
    pub fn receive(&mut self, sequence: u16) -> Arrival {
        let number = self.extender.extend(sequence);
        let Some(highest) = self.extender.highest() else {
            self.begin(number);
            return Arrival::Ahead(number);
        };
        if number > highest && number - highest <= MAXIMUM_DROPOUT {
            self.suspect = None;
            let step = (number - highest).min(128) as u32;
            self.window = self.window.checked_shl(step).unwrap_or(0) | 1;
            self.extender.advance(number);
            self.received += 1;
            return Arrival::Ahead(number);
        }
        let back = highest.saturating_sub(number);
        if number <= highest && back <= MAXIMUM_MISORDER {
            let bit = 1_u128 << back;
            if self.window & bit != 0 {
                return Arrival::Duplicate;
            }
            self.window |= bit;
            self.received += 1;
            // A packet older than the first one belongs to what was expected.
            self.base = self.base.min(number);
            return Arrival::Behind(number);
        }
        if self.suspect == Some(sequence) {
            self.expected_before = self.expected();
            self.extender = SequenceExtender::default();
            let number = self.extender.extend(sequence);
            self.begin(number);
            return Arrival::Restarted(number);
        }
        self.suspect = Some(sequence.wrapping_add(1));
        Arrival::Suspect
    }

    /// Takes the timing of an audio packet for the jitter estimate (appendix A.8). Packets
    /// whose timestamp does not say when they were made (events) are not given.
    pub fn measure_jitter(&mut self, timestamp: u32, clock_rate: u32, now: Instant) {
        let jitter = &mut self.jitter;
        if jitter.clock_rate != clock_rate {
            *jitter = Jitter {
                clock_rate,
                ..Jitter::default()
            };
        }
        if let Some((last_timestamp, _, last_arrival)) = jitter.last {
            let elapsed = now.saturating_duration_since(last_arrival).as_micros() as i64;
            let ticks = elapsed * i64::from(clock_rate) / 1_000_000;
            let deviation = (ticks - i64::from(timestamp.since(last_timestamp))).unsigned_abs();
            // A jump of seconds is a pause or a new timestamp base, not jitter.
            if deviation < u64::from(clock_rate) * 2 {
                jitter.scaled = jitter.scaled + deviation - ((jitter.scaled + 8) >> 4);
            }
        }
        jitter.last = Some((timestamp, clock_rate, now));
    }

    /// Remembers a sender report of this source, for LSR and DLSR.
    pub fn handle_sender_report(&mut self, ntp: NtpTime, now: Instant) {
        self.last_sender_report = Some((ntp, now));
    }

    /// Packets that came, duplicates not counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets expected by their numbers (appendix A.3).
    pub fn expected(&self) -> u64 {
        let present = self
            .extender
            .highest()
            .map_or(0, |highest| highest + 1 - self.base);
        self.expected_before + present
    }

    /// Packets that did not come, so far.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Interarrival jitter, in ticks of the stream's clock.
    pub fn jitter_ticks(&self) -> u32 {
        (self.jitter.scaled >> 4) as u32
    }

    /// Interarrival jitter as time.
    pub fn jitter(&self) -> Duration {
        match self.jitter.clock_rate {
            0 => Duration::ZERO,
            rate => {
                Duration::from_micros(u64::from(self.jitter_ticks()) * 1_000_000 / u64::from(rate))
            }
        }
    }

    /// The report about the time since the last one. `None` before the first packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let highest = self.extender.highest()?;
        let expected = self.expected();
        let expected_interval = expected.saturating_sub(self.expected_at_report);
        let received_interval = self.received - self.received_at_report;
        self.expected_at_report = expected;
        self.received_at_report = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction_lost = (lost_interval * 256)
            .checked_div(expected_interval)
            .map_or(0, |fraction| fraction.min(255) as u8);
        let (last_sender_report, delay_since_last) = match self.last_sender_report {
            None => (0, 0),
            Some((ntp, arrived)) => {
                let delay = now.saturating_duration_since(arrived);
                let ticks = delay.as_micros() * 65_536 / 1_000_000;
                (ntp.middle(), ticks.min(u128::from(u32::MAX)) as u32)
            }
        };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            cumulative_lost: self.lost().min(0x7f_ffff) as i32,
            highest_sequence: highest.wrapping_sub(1 << 16) as u32,
            jitter: self.jitter_ticks(),
            last_sender_report,
            delay_since_last,
        })
    }

    fn begin(&mut self, number: u64) {
        self.extender.advance(number);
        self.base = number;
        self.window = 1;
        self.suspect = None;
        self.received += 1;
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_what_was_expected_and_did_not_come() {
        let now = Instant::now();
        let mut reception = Reception::new(1);
        for sequence in (65_530..=65_535)
            .chain(0..10)
            .filter(|number| number % 5 != 0)
        {
            reception.receive(sequence);
        }
        // 65530, 65535, 0 and 5 are missing; the first is before the beginning.
        assert_eq!(reception.lost(), 3);
        let report = reception.report(now).expect("packets came");
        assert_eq!(report.cumulative_lost, 3);
        assert_eq!(report.fraction_lost, (3 * 256 / 15) as u8);
        assert_eq!(report.highest_sequence, 0x0001_0009);
        let report = reception.report(now).expect("packets came");
        assert_eq!(report.fraction_lost, 0);
    }

    #[test]
    fn a_late_packet_fills_its_hole_once() {
        let mut reception = Reception::new(1);
        assert!(matches!(reception.receive(10), Arrival::Ahead(_)));
        assert!(matches!(reception.receive(12), Arrival::Ahead(_)));
        assert_eq!(reception.lost(), 1);
        assert!(matches!(reception.receive(11), Arrival::Behind(_)));
        assert_eq!(reception.receive(11), Arrival::Duplicate);
        assert_eq!(reception.receive(12), Arrival::Duplicate);
        assert_eq!(reception.lost(), 0);
        assert_eq!(reception.received(), 3);
    }

    #[test]
    fn a_far_number_is_believed_when_the_next_one_follows_it() {
        let mut reception = Reception::new(1);
        reception.receive(10);
        assert_eq!(reception.receive(30_000), Arrival::Suspect);
        assert!(matches!(reception.receive(11), Arrival::Ahead(_)));
        assert_eq!(reception.receive(30_000), Arrival::Suspect);
        assert!(matches!(reception.receive(30_001), Arrival::Restarted(_)));
        assert!(matches!(reception.receive(30_002), Arrival::Ahead(_)));
        assert_eq!(reception.lost(), 0);
    }

    #[test]
    fn jitter_rises_with_uneven_spacing_and_not_without() {
        let start = Instant::now();
        let run = |uneven: u64| {
            let mut reception = Reception::new(1);
            for number in 0..200_u64 {
                let arrival = number * 20 + (number % 2) * uneven;
                let now = start + Duration::from_millis(arrival);
                reception.measure_jitter((number * 160) as u32, 8_000, now);
            }
            reception.jitter()
        };
        assert_eq!(run(0), Duration::ZERO);
        let jitter = run(8).as_micros();
        assert!((7_000..=8_100).contains(&jitter), "{jitter}");
    }

    #[test]
    fn the_delay_since_a_sender_report_is_told() {
        let start = Instant::now();
        let mut reception = Reception::new(1);
        reception.receive(1);
        reception.handle_sender_report(NtpTime(0x1111_2222_3333_4444), start);
        let report = reception.report(start + Duration::from_millis(1_500));
        let report = report.expect("a packet came");
        assert_eq!(report.last_sender_report, 0x2222_3333);
        assert_eq!(report.delay_since_last, 65_536 * 3 / 2);
    }
}
