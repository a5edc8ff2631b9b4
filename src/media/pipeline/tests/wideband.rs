//! A codec with the clocks of G.722: RTP counts by 8000, audio has 16 kHz (RFC 3551 section 4.5.2).

use super::support::*;
use crate::audio::{Decoder, Encoder, EncoderSettings, OpusDecoder, Tone, measure};
use crate::codec::Codec;
use crate::rtp::Packet;

/// Above what 8 kHz of audio can hold.
const FREQUENCY: f64 = 5_000.0;

/// Packets of 20 ms of a tone at an audio rate of 16 kHz, sent through a pipeline.
fn sent(from: Codec, to: Codec) -> Harness {
    let mut harness = Harness::new(&side(from), &side(to));
    let mut talker = Talker::tone(from, 400.0);
    let mut tone = Tone::new(&[(FREQUENCY, -12.0)], 16_000);
    let mut encoder = Encoder::new(from, 16_000, EncoderSettings::default()).expect("16 kHz");
    let mut samples = [0; 320];
    for _ in 0..50 {
        tone.fill(&mut samples);
        let mut payload = Vec::new();
        assert!(encoder.encode(&samples, &mut payload));
        let packet = talker.packet(payload_type(from), false, talker.timestamp, &payload);
        talker.timestamp = talker.timestamp.wrapping_add(talker.ticks(20));
        assert_eq!(harness.give(&packet), 1, "forwarded at once");
        harness.wait(20);
    }
    harness
}

fn assert_ticks(packets: &[Packet<'_>], ticks: u32) {
    for (count, packet) in packets.iter().enumerate() {
        let expected = FIRST_TIMESTAMP.wrapping_add(ticks * count as u32);
        assert_eq!(packet.timestamp, expected, "packet {count}");
    }
}

fn assert_heard(samples: &[i16]) {
    assert_eq!(samples.len(), 50 * 320);
    let heard = measure(&samples[3_200..], 16_000);
    assert!((heard.frequency - FREQUENCY).abs() < 2.0, "{heard:?}");
    assert!((heard.level + 12.0).abs() < 2.0, "{heard:?}");
}

#[test]
fn opus_to_g722_has_16_khz_and_160_ticks_a_packet() {
    let harness = sent(Codec::Opus, Codec::G722);
    let packets = harness.packets();
    assert_ticks(&packets, 160);
    let mut decoder = Decoder::new(Codec::G722, 16_000).expect("16 kHz");
    let mut samples = Vec::new();
    for packet in &packets {
        assert_eq!(packet.payload.len(), 320, "an octet a sample");
        assert!(decoder.decode(packet.payload, &mut samples));
    }
    assert_heard(&samples);
}

#[test]
fn g722_to_opus_encodes_at_16_khz() {
    let harness = sent(Codec::G722, Codec::Opus);
    let packets = harness.packets();
    assert_ticks(&packets, 960);
    let mut decoder = OpusDecoder::new(16_000).expect("libopus");
    let mut samples = Vec::new();
    for packet in &packets {
        decoder.decode(packet.payload, &mut samples).expect("Opus");
    }
    assert_heard(&samples);
}

#[test]
fn g722_of_the_same_packet_time_is_relayed() {
    let harness = sent(Codec::G722, Codec::G722);
    assert_ticks(&harness.packets(), 160);
}

#[test]
fn lost_g722_packet_is_concealed_for_its_time() {
    let mut harness = Harness::new(&side(Codec::G722), &side(Codec::Opus));
    let mut talker = Talker::tone(Codec::G722, 400.0);
    for number in 0..20 {
        let packet = talker.packet(G722, false, talker.timestamp, &[0x90; 320]);
        talker.timestamp = talker.timestamp.wrapping_add(160);
        if number != 10 {
            harness.give(&packet);
        }
        harness.wait(20);
    }
    assert_eq!(harness.pipeline.statistics().concealed, 1);
    assert_ticks(&harness.packets(), 960);
    assert_eq!(harness.packets().len(), 20);
}
