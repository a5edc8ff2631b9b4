//! RTCP: compound packets read and written (RFC 3550 section 6).

use super::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds between the epochs of NTP (1900) and of Unix (1970).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const REPORT_BLOCK_LENGTH: usize = 24;

/// Wall-clock time as NTP writes it: 32 bits of seconds, 32 bits of fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The middle 32 bits: what LSR and round-trip arithmetic use (RFC 3550 section 4), in
    /// units of 1/65536 s.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl From<SystemTime> for NtpTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        NtpTime(since.as_secs().wrapping_add(NTP_UNIX_OFFSET) << 32 | fraction)
    }
}

/// What a sender says about its stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall-clock time of this report.
    pub ntp: NtpTime,
    /// The same moment on the stream's timestamp clock.
    pub rtp_timestamp: u32,
    /// Packets sent since the beginning.
    pub packet_count: u32,
    /// Payload octets sent since the beginning.
    pub octet_count: u32,
}

/// What a receiver says about a stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream's source.
    pub ssrc: u32,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; duplicates can make it negative. 24 bits, saturated.
    pub cumulative_lost: i32,
    /// Extended highest sequence number received.
    pub highest_sequence: u32,
    /// Interarrival jitter, timestamp ticks.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time; zero when there was none.
    pub last_sender_report: u32,
    /// Time since that report came, in 1/65536 s.
    pub delay_since_last: u32,
}

impl ReportBlock {
    /// The time to the receiver and back, when it has had a report of ours; `arrived` is the
    /// wall-clock time at which this block came (RFC 3550 section 6.4.1).
    pub fn round_trip(&self, arrived: NtpTime) -> Option<Duration> {
        if self.last_sender_report == 0 {
            return None;
        }
        let ticks = arrived
            .middle()
            .wrapping_sub(self.last_sender_report)
            .wrapping_sub(self.delay_since_last);
        // A clock that was set back, or a receiver that counts DLSR coarsely, gives a small
        // negative number: no time at all. More than a minute is nonsense.
        match ticks as i32 {
            ticks if ticks < 0 => (ticks > -0x1_0000).then_some(Duration::ZERO),
            ticks if ticks > 60 << 16 => None,
            ticks => Some(Duration::from_nanos(ticks as u64 * 1_000_000_000 / 65_536)),
        }
    }

    fn parse(bytes: &[u8; REPORT_BLOCK_LENGTH]) -> Self {
        ReportBlock {
            ssrc: word(bytes, 0),
            fraction_lost: bytes[4],
            // Sign-extends the 24 bits.
            cumulative_lost: ((word(bytes, 4) << 8) as i32) >> 8,
            highest_sequence: word(bytes, 8),
            jitter: word(bytes, 12),
            last_sender_report: word(bytes, 16),
            delay_since_last: word(bytes, 20),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.extend_from_slice(&(u32::from(self.fraction_lost) << 24 | lost).to_be_bytes());
        out.extend_from_slice(&self.highest_sequence.to_be_bytes());
        out.extend_from_slice(&self.jitter.to_be_bytes());
        out.extend_from_slice(&self.last_sender_report.to_be_bytes());
        out.extend_from_slice(&self.delay_since_last.to_be_bytes());
    }
}

/// The report blocks of a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl ReportBlocks<'_> {
    /// Each block in turn.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + '_ {
        let (blocks, _) = self.0.as_chunks::<REPORT_BLOCK_LENGTH>();
        blocks.iter().map(ReportBlock::parse)
    }
}

/// One packet out of a compound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// SR.
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// About the stream it sends.
        info: SenderInfo,
        /// About the streams it receives.
        reports: ReportBlocks<'a>,
    },
    /// RR.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// About the streams it receives.
        reports: ReportBlocks<'a>,
    },
    /// SDES, its chunks unread: nothing of ours depends on a name.
    SourceDescription,
    /// BYE.
    Bye {
        /// The first source that leaves, where one is named.
        ssrc: Option<u32>,
    },
    /// Any other type: feedback, extended reports, application packets.
    Other {
        /// The packet type.
        packet_type: u8,
    },
}

/// Reads a compound packet, packet by packet. After an error there is nothing more.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Reads `bytes`: one datagram, decrypted. A reduced-size packet (RFC 5506) is read too.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Compound { rest: bytes }
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Result<RtcpPacket<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = split(self.rest);
        self.rest = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(packet, _)| packet))
    }
}

fn split<'a>(bytes: &'a [u8]) -> Result<(RtcpPacket<'a>, &'a [u8]), Error> {
    let truncated = |part| Error::Truncated {
        part,
        length: bytes.len(),
    };
    let Some(header) = bytes.first_chunk::<4>() else {
        return Err(truncated("rtcp header"));
    };
    if header[0] >> 6 != 2 {
        return Err(Error::Version(header[0] >> 6));
    }
    let count = usize::from(header[0] & 0x1f);
    let length = 4 + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
    let (packet, rest) = bytes
        .split_at_checked(length)
        .ok_or(truncated("rtcp packet"))?;
    let body = &packet[4..];
    let reports = |body: &'a [u8]| -> Result<ReportBlocks<'a>, Error> {
        body.get(..count * REPORT_BLOCK_LENGTH)
            .map(ReportBlocks)
            .ok_or(truncated("report block"))
    };
    let packet = match header[1] {
        SENDER_REPORT => {
            let (sender, blocks) = body
                .split_at_checked(24)
                .ok_or(truncated("sender report"))?;
            RtcpPacket::SenderReport {
                ssrc: word(sender, 0),
                info: SenderInfo {
                    ntp: NtpTime(u64::from(word(sender, 4)) << 32 | u64::from(word(sender, 8))),
                    rtp_timestamp: word(sender, 12),
                    packet_count: word(sender, 16),
                    octet_count: word(sender, 20),
                },
                reports: reports(blocks)?,
            }
        }
        RECEIVER_REPORT => {
            let (sender, blocks) = body
                .split_at_checked(4)
                .ok_or(truncated("receiver report"))?;
            RtcpPacket::ReceiverReport {
                ssrc: word(sender, 0),
                reports: reports(blocks)?,
            }
        }
        SOURCE_DESCRIPTION => RtcpPacket::SourceDescription,
        BYE => RtcpPacket::Bye {
            ssrc: (count > 0 && body.len() >= 4).then(|| word(body, 0)),
        },
        packet_type => RtcpPacket::Other { packet_type },
    };
    Ok((packet, rest))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Appends a sender report with `report`, and SDES with `cname` (at most 255 octets of it).
pub fn write_sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    info: &SenderInfo,
    report: Option<&ReportBlock>,
    cname: &str,
) {
    let words = 6 + report.map_or(0, |_| 6);
    write_header(out, report.iter().len(), SENDER_REPORT, words);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&info.ntp.0.to_be_bytes());
    out.extend_from_slice(&info.rtp_timestamp.to_be_bytes());
    out.extend_from_slice(&info.packet_count.to_be_bytes());
    out.extend_from_slice(&info.octet_count.to_be_bytes());
    if let Some(report) = report {
        report.write(out);
    }
    write_source_description(out, ssrc, cname);
}

/// Appends a receiver report with `report` (an empty one without), and SDES with `cname`.
pub fn write_receiver_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    report: Option<&ReportBlock>,
    cname: &str,
) {
    let words = 1 + report.map_or(0, |_| 6);
    write_header(out, report.iter().len(), RECEIVER_REPORT, words);
    out.extend_from_slice(&ssrc.to_be_bytes());
    if let Some(report) = report {
        report.write(out);
    }
    write_source_description(out, ssrc, cname);
}

/// Appends a BYE of one source (RFC 3550 section 6.6): the last packet of a compound one.
pub fn write_bye(out: &mut Vec<u8>, ssrc: u32) {
    write_header(out, 1, BYE, 1);
    out.extend_from_slice(&ssrc.to_be_bytes());
}

fn write_source_description(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // SSRC, item type and length, the name, then at least one zero octet up to a word.
    let words = 1 + (2 + name.len() + 1).div_ceil(4);
    write_header(out, 1, SOURCE_DESCRIPTION, words);
    let end = out.len() + 4 * words;
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.push(1);
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.resize(end, 0);
}

fn write_header(out: &mut Vec<u8>, count: usize, packet_type: u8, words: usize) {
    out.push(0x80 | (count as u8 & 0x1f));
    out.push(packet_type);
    out.extend_from_slice(&(words as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPORT: ReportBlock = ReportBlock {
        ssrc: 7,
        fraction_lost: 13,
        cumulative_lost: -2,
        highest_sequence: 0x0001_fffe,
        jitter: 99,
        last_sender_report: 0x1234_5678,
        delay_since_last: 65_536,
    };

    #[test]
    fn a_sender_report_is_read_as_it_is_written() {
        let info = SenderInfo {
            ntp: NtpTime(0x0123_4567_89ab_cdef),
            rtp_timestamp: 3,
            packet_count: 4,
            octet_count: 5,
        };
        for cname in ["", "a", "ab", "abc", "abcd", "trunkline"] {
            let mut bytes = Vec::new();
            write_sender_report(&mut bytes, 1, &info, Some(&REPORT), cname);
            write_bye(&mut bytes, 1);
            assert_eq!(bytes.len() % 4, 0);
            let packets: Vec<_> = Compound::new(&bytes)
                .collect::<Result<_, _>>()
                .expect("written here");
            let RtcpPacket::SenderReport {
                ssrc: 1,
                info: read,
                reports,
            } = packets[0]
            else {
                panic!("{:?}", packets[0]);
            };
            assert_eq!(read, info);
            assert_eq!(reports.iter().collect::<Vec<_>>(), [REPORT]);
            assert_eq!(
                packets[1..],
                [
                    RtcpPacket::SourceDescription,
                    RtcpPacket::Bye { ssrc: Some(1) }
                ]
            );
        }
    }

    #[test]
    fn a_receiver_report_may_be_empty() {
        let mut bytes = Vec::new();
        write_receiver_report(&mut bytes, 9, None, "x");
        let Some(Ok(RtcpPacket::ReceiverReport { ssrc: 9, reports })) =
            Compound::new(&bytes).next()
        else {
            panic!("not a receiver report");
        };
        assert_eq!(reports.iter().count(), 0);
    }

    #[test]
    fn a_report_count_beyond_the_packet_is_refused() {
        let mut bytes = Vec::new();
        write_receiver_report(&mut bytes, 9, Some(&REPORT), "x");
        bytes[0] = 0x82;
        assert!(matches!(
            Compound::new(&bytes).next(),
            Some(Err(Error::Truncated {
                part: "report block",
                ..
            }))
        ));
    }

    #[test]
    fn the_round_trip_is_what_is_left_of_the_time_since_the_report() {
        let sent = NtpTime(0x0000_1000_8000_0000);
        let report = ReportBlock {
            last_sender_report: sent.middle(),
            delay_since_last: 65_536 / 2,
            ..REPORT
        };
        let arrived = NtpTime(0x0000_1001_4000_0000);
        assert_eq!(report.round_trip(arrived), Some(Duration::from_millis(250)));
        assert_eq!(
            ReportBlock {
                last_sender_report: 0,
                ..report
            }
            .round_trip(arrived),
            None
        );
    }

    #[test]
    fn ntp_counts_from_1900() {
        let time = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(NtpTime::from(time).0, 2_208_988_801 << 32 | 1 << 31);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            for packet in Compound::new(&bytes).flatten() {
                if let RtcpPacket::SenderReport { reports, .. } = packet {
                    reports.iter().for_each(drop);
                }
            }
        }
    }
}
