//! A media worker on real loopback sockets: what a browser and a PBX say, hear, press and forge.

#![expect(clippy::disallowed_methods, reason = "real sockets, real time")]

mod harness;
mod lifecycle;
mod srtp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::*;
use trunkline::codec::Direction;
use trunkline::media::{
    AudioCommand, CloseReason, Command, Error, Latching, MediaEvent, Side, StreamId,
};
use trunkline::peer;
use trunkline::rtp::{Compound, ReportBlock, RtcpPacket, is_rtcp, write_receiver_report};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_tone_crosses_both_ways_through_opus_and_pcmu() {
    let worker = worker();
    let mut call = connect(&worker, 1);

    call.browser_sends_tone(440.0, 100);
    let heard = call.pbx_hears();
    assert!(
        heard.len() >= 95 * 160,
        "the PBX heard {} samples",
        heard.len()
    );
    let share = share_of(440.0, &heard[1_600..], 8_000);
    assert!(share > 0.9, "440 Hz has {share} of what the PBX heard");
    call.expect_event(|event| {
        matches!(
            event,
            MediaEvent::FirstAudio {
                from: Side::Browser
            }
        )
    });

    call.pbx_sends_tone(1_004.0, 100);
    let heard = call.browser_hears();
    assert!(
        heard.len() >= 95 * 960,
        "the browser heard {} samples",
        heard.len()
    );
    let share = share_of(1_004.0, &heard[9_600..], 48_000);
    assert!(share > 0.9, "1004 Hz has {share} of what the browser heard");
    call.expect_event(|event| matches!(event, MediaEvent::FirstAudio { from: Side::Pbx }));

    worker
        .handle
        .command(call.key, Command::Close)
        .expect("the worker runs");
    let closed = call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
    let MediaEvent::Closed {
        reason: CloseReason::Commanded,
        statistics,
    } = closed
    else {
        panic!("{closed:?}");
    };
    assert_eq!(
        (statistics.browser.packets_in, statistics.pbx.packets_in),
        (100, 100)
    );
    assert_eq!((statistics.browser.lost_in, statistics.pbx.lost_in), (0, 0));
    assert!(statistics.pbx.packets_out >= 95 && statistics.browser.packets_out >= 95);
    assert_eq!(worker.handle.load(), 0);
}

#[test]
fn what_is_encoded_before_the_browser_is_connected_leaves_nothing_behind() {
    let worker = worker();
    let sockets = worker.ports.reserve().expect("a pair is free");
    let mut early = connect_after(&worker, 1, sockets, |pbx, rtp| {
        send_tone(pbx, rtp, 1_200.0, 7);
        std::thread::sleep(20 * MILLISECOND);
    });
    let mut late = connect(&worker, 2);
    for call in [&mut early, &mut late] {
        call.pbx_sends_tone(1_200.0, 15);
    }
    let heard = early.browser.drain_payloads(OPUS);
    assert_eq!(heard.len(), 15);
    assert_eq!(heard, late.browser.drain_payloads(OPUS));
}

#[test]
fn calls_on_one_port_do_not_hear_each_other() {
    let worker = worker();
    let mut first = connect(&worker, 1);
    let mut second = connect(&worker, 2);
    assert_eq!(first.webrtc, second.webrtc);
    assert_eq!(worker.handle.load(), 2);
    first.browser_sends_tone(440.0, 50);
    second.browser_sends_tone(700.0, 50);
    assert!(share_of(440.0, &first.pbx_hears()[1_600..], 8_000) > 0.9);
    assert!(share_of(700.0, &second.pbx_hears()[1_600..], 8_000) > 0.9);
}

#[test]
fn a_browser_that_changes_its_port_is_heard_again() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let place = std::mem::replace(&mut call.browser, Peer::new());
    call.browser = place.moved().with_another_stream();
    call.browser_sends_tone(440.0, 10);
    assert_eq!(
        call.pbx_hears().len(),
        0,
        "an address without a check speaks for nobody"
    );

    let check = call.browser.webrtc(|webrtc| webrtc.next_check());
    call.browser.send_as_it_is(call.webrtc, &check);
    let (answer, from) = call
        .browser
        .receive_as_it_is(PATIENCE)
        .expect("the check is answered");
    assert_eq!((&answer[..2], from), (&[1, 1][..], call.webrtc));
    call.browser.webrtc(|webrtc| webrtc.take(&answer, from));
    call.browser.drain(300 * MILLISECOND);
    call.browser_sends_tone(440.0, 50);
    assert!(call.pbx_hears().len() >= 45 * 160);
    call.pbx_sends_tone(1_004.0, 50);
    assert!(call.browser_hears().len() >= 45 * 960);
}

#[test]
fn a_browser_whose_port_changes_between_its_checks_is_heard_at_once() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let mut other = connect(&worker, 2);
    call.browser_sends_tone(440.0, 50);
    other.browser_sends_tone(700.0, 50);
    assert!(call.pbx_hears().len() >= 45 * 160);
    assert!(share_of(700.0, &other.pbx_hears()[1_600..], 8_000) > 0.9);

    let place = std::mem::replace(&mut call.browser, Peer::new());
    let _kept = std::mem::replace(&mut call.browser, place.moved());
    call.browser_sends_tone(440.0, 50);
    let heard = call.pbx_hears();
    assert!(heard.len() >= 49 * 160, "{} samples", heard.len());
    assert!(share_of(440.0, &heard[1_600..], 8_000) > 0.9);
    assert_eq!(other.pbx_hears().len(), 0, "nor does another call hear it");

    // Audio goes there once the gateway's own check was answered, and only then.
    call.pbx_sends_tone(1_004.0, 10);
    let came = || call.browser.receive_as_it_is(100 * MILLISECOND);
    let asked: Vec<_> = std::iter::from_fn(came).collect();
    assert!(!asked.is_empty());
    for (check, from) in &asked {
        assert_eq!(check[..2], [0, 1], "a Binding request");
        call.browser.webrtc(|webrtc| webrtc.take(check, *from));
    }
    call.browser.drain(50 * MILLISECOND);
    call.pbx_sends_tone(1_004.0, 50);
    let heard = call.browser_hears();
    assert!(heard.len() >= 45 * 960, "{} samples", heard.len());
    assert!(share_of(1_004.0, &heard[9_600..], 48_000) > 0.9);
}

#[test]
fn an_ice_restart_moves_the_ufrag() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let [before, after] = [(); 2].map(|()| call.browser.webrtc(|webrtc| webrtc.next_check()));
    worker
        .handle
        .command(call.key, Command::RestartIce)
        .expect("the worker runs");
    let restarting = call.expect_event(|event| matches!(event, MediaEvent::IceRestarting(_)));
    let MediaEvent::IceRestarting(offer) = restarting else {
        unreachable!("asked for")
    };
    let old = Peer::new();
    old.send_as_it_is(call.webrtc, &before);
    assert!(
        old.receive(PATIENCE).is_some(),
        "the old ufrag is known until the new one is in use"
    );

    let answer = call.browser.webrtc(|webrtc| webrtc.answer_restart(*offer));
    let command = Command::SetRemoteDescription(Box::new(answer));
    worker
        .handle
        .command(call.key, command)
        .expect("the worker runs");
    let restarted =
        |event: &MediaEvent| matches!(event, MediaEvent::Peer(peer::Event::IceRestarted { .. }));
    let begin = Instant::now();
    while !call.events.try_recv().is_ok_and(|event| restarted(&event)) {
        assert!(begin.elapsed() < PATIENCE, "the new ufrag is not known");
        call.browser.receive(5 * MILLISECOND);
    }
    let old = Peer::new();
    old.send_as_it_is(call.webrtc, &after);
    assert!(
        old.receive(100 * MILLISECOND).is_none(),
        "the old ufrag is still known"
    );
    call.browser_sends_tone(440.0, 50);
    assert!(share_of(440.0, &call.pbx_hears()[1_600..], 8_000) > 0.9);
    call.pbx_sends_tone(1_004.0, 50);
    assert!(share_of(1_004.0, &call.browser_hears()[9_600..], 48_000) > 0.9);
}

#[test]
fn audio_follows_a_pbx_behind_nat_and_no_unexpected_source() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let named = std::mem::replace(&mut call.pbx, Peer::new());
    worker
        .handle
        .command(
            call.key,
            AudioCommand::ExpectRtp(at_once()).to(StreamId::FIRST_AUDIO),
        )
        .expect("the worker runs");
    let signalled = AudioCommand::SetRemoteRtp {
        rtp: named.address(),
        rtcp: None,
        srtp_keys: None,
    }
    .to(StreamId::FIRST_AUDIO);
    worker
        .handle
        .command(call.key, signalled)
        .expect("the worker runs");
    // Both commands have been taken once audio arrives there: a packet between them would count as
    // one of an unexpected source.
    call.browser_sends_tone(440.0, 5);
    assert!(!named.drain_payloads(PCMU).is_empty(), "audio goes there");
    let source = call.pbx.address();

    call.pbx_sends_tone(1_004.0, 10);
    let latched = call.expect_event(|event| matches!(event, MediaEvent::RemoteLatched { .. }));
    assert!(matches!(latched, MediaEvent::RemoteLatched { rtp } if rtp == source));
    call.browser_sends_tone(440.0, 50);
    assert!(
        call.pbx_hears().len() >= 45 * 160,
        "audio follows the source"
    );
    assert_eq!(
        named.drain_payloads(PCMU).len(),
        0,
        "and no longer the address of the SDP"
    );
    call.browser.drain(50 * MILLISECOND);

    let mut unexpected = Peer::new();
    send_tone(&mut unexpected, call.rtp, 600.0, 100);
    assert_eq!(
        call.browser_hears().len(),
        0,
        "an unexpected source is not heard"
    );
    call.browser_sends_tone(440.0, 50);
    assert_eq!(
        unexpected.drain_payloads(PCMU).len(),
        0,
        "an unexpected source hears nothing"
    );
    assert!(call.pbx_hears().len() >= 45 * 160);

    worker
        .handle
        .command(call.key, Command::Close)
        .expect("the worker runs");
    let closed = call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
    let MediaEvent::Closed { statistics, .. } = closed else {
        unreachable!("asked for")
    };
    assert_eq!(statistics.pbx.dropped.of("unexpected_source"), 100);
}

#[test]
fn a_new_address_from_signalling_is_believed_at_once() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    call.pbx_sends_tone(1_004.0, 10);
    let before = std::mem::replace(&mut call.pbx, Peer::new());
    let rtp = call.pbx.address();
    let command = AudioCommand::SetRemoteRtp {
        rtp,
        rtcp: None,
        srtp_keys: None,
    }
    .to(StreamId::FIRST_AUDIO);
    worker
        .handle
        .command(call.key, command)
        .expect("the worker runs");
    std::thread::sleep(20 * MILLISECOND);
    call.browser_sends_tone(440.0, 50);
    assert!(call.pbx_hears().len() >= 45 * 160);
    assert_eq!(before.drain_payloads(PCMU).len(), 0);
}

#[test]
fn digits_cross_both_ways_and_are_told() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    call.browser_sends_tone(440.0, 5);
    call.pbx_sends_tone(1_004.0, 5);

    for event in 0..16 {
        call.browser
            .send_key(call.webrtc, OPUS_EVENTS, event, 4_800);
        call.pbx.send_key(call.rtp, PCMU_EVENTS, event, 800);
    }
    let told = call.digits(500 * MILLISECOND);
    for side in [Side::Browser, Side::Pbx] {
        let keys: String = told
            .iter()
            .filter(|(from, ..)| *from == side)
            .map(|(_, digit, _)| digit)
            .collect();
        assert_eq!(keys, "0123456789*#ABCD", "pressed by {side:?}");
    }
    assert!(
        told.iter()
            .all(|(.., duration)| *duration == 100 * MILLISECOND),
        "{told:?}"
    );

    let to_pbx = finished_keys(&call.pbx.drain_payloads(PCMU_EVENTS));
    assert_eq!(
        to_pbx,
        (0..16).map(|event| (event, 800)).collect::<Vec<_>>()
    );
    let to_browser = finished_keys(&call.browser.drain_payloads(OPUS_EVENTS));
    assert_eq!(
        to_browser,
        (0..16).map(|event| (event, 4_800)).collect::<Vec<_>>()
    );
}

/// The events that ended, once each, with their durations in ticks.
fn finished_keys(payloads: &[Vec<u8>]) -> Vec<(u8, u16)> {
    let mut keys: Vec<_> = payloads
        .iter()
        .filter(|payload| payload[1] & 0x80 != 0)
        .map(|payload| (payload[0], u16::from_be_bytes([payload[2], payload[3]])))
        .collect();
    keys.dedup();
    keys
}

#[test]
fn the_gateway_sends_digits_of_its_own_to_either_side() {
    let worker = worker();
    let call = connect(&worker, 1);
    for to in [Side::Pbx, Side::Browser] {
        let digits = "1#".to_owned();
        let command = AudioCommand::SendDigits {
            to,
            digits,
            duration: 80 * MILLISECOND,
        }
        .to(StreamId::FIRST_AUDIO);
        worker
            .handle
            .command(call.key, command)
            .expect("the worker runs");
    }
    let keys = |payloads: &[Vec<u8>]| finished_keys(payloads).into_iter().map(|(event, _)| event);
    let to_pbx = call.pbx.drain_payloads(PCMU_EVENTS);
    assert_eq!(keys(&to_pbx).collect::<Vec<_>>(), [1, 11]);
    let to_browser = call.browser.drain_payloads(OPUS_EVENTS);
    assert_eq!(keys(&to_browser).collect::<Vec<_>>(), [1, 11]);
}

#[test]
fn digits_that_cannot_be_sent_are_refused_and_the_call_goes_on() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let digits = "1x".to_owned();
    let command = AudioCommand::SendDigits {
        to: Side::Pbx,
        digits,
        duration: 80 * MILLISECOND,
    }
    .to(StreamId::FIRST_AUDIO);
    worker
        .handle
        .command(call.key, command)
        .expect("the worker runs");
    let refused = call.expect_event(|event| matches!(event, MediaEvent::DigitsRefused(_)));
    assert!(
        matches!(refused, MediaEvent::DigitsRefused(Error::Digit('x'))),
        "{refused:?}"
    );
    call.browser_sends_tone(440.0, 20);
    assert!(call.pbx_hears().len() >= 15 * 160);
}

#[test]
fn a_thousand_datagrams_of_garbage_disturb_nobody() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let unexpected = Peer::new();
    let mut state = 1_u64;
    for n in 0..1_000_usize {
        let garbage: Vec<u8> = (0..n % 1_400)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        unexpected.send(call.webrtc, &garbage);
        unexpected.send(call.rtp, &garbage);
        unexpected.send((call.rtp.ip(), call.rtp.port() + 1).into(), &garbage);
        if n % 50 == 0 {
            std::thread::sleep(MILLISECOND);
        }
    }
    unexpected.send(call.rtp, &[0x80; 5_000]);
    assert_eq!(
        unexpected.drain(50 * MILLISECOND).len(),
        0,
        "garbage is not answered"
    );
    call.browser_sends_tone(440.0, 50);
    assert!(share_of(440.0, &call.pbx_hears()[1_600..], 8_000) > 0.9);
    call.pbx_sends_tone(1_004.0, 50);
    assert!(share_of(1_004.0, &call.browser_hears()[9_600..], 48_000) > 0.9);
}

#[test]
fn reports_go_to_both_sides_and_theirs_are_read() {
    let worker = worker_with(|config| {
        config.report_interval = 50 * MILLISECOND;
        config.statistics_interval = 100 * MILLISECOND;
    });
    let mut call = connect(&worker, 1);
    // RTCP of the PBX side: the port above the address of the SDP cannot be had reliably, so
    // both share one.
    let rtp = call.pbx.address();
    let command = AudioCommand::SetRemoteRtp {
        rtp,
        rtcp: Some(rtp),
        srtp_keys: None,
    }
    .to(StreamId::FIRST_AUDIO);
    worker
        .handle
        .command(call.key, command)
        .expect("the worker runs");
    // At the same time: a side that was sent nothing since the last report gets no sender report.
    for _ in 0..50 {
        call.browser_sends_tone(440.0, 1);
        call.pbx_sends_tone(1_004.0, 1);
    }
    answer(&call.pbx, call.rtp);
    answer(&call.browser, call.webrtc);

    let told = call.expect_event(|event| match event {
        MediaEvent::Statistics(statistics) => {
            statistics.browser.round_trip.is_some() && statistics.pbx.round_trip.is_some()
        }
        _ => false,
    });
    let MediaEvent::Statistics(statistics) = told else {
        unreachable!("asked for")
    };
    for side in [&statistics.browser, &statistics.pbx] {
        assert!(side.round_trip < Some(Duration::from_secs(2)), "{side:?}");
        assert!((side.loss_out - 0.25).abs() < 0.01, "{side:?}");
    }
}

/// Waits for a sender report that reports about the stream of `peer`, and reports a quarter lost
/// of the stream that it is about.
fn answer(peer: &Peer, to: SocketAddr) {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let Some((datagram, _)) = peer.receive(PATIENCE) else {
            break;
        };
        if !is_rtcp(&datagram) {
            continue;
        }
        let Some(Ok(RtcpPacket::SenderReport {
            ssrc,
            info,
            reports,
        })) = Compound::new(&datagram).next()
        else {
            continue;
        };
        if !reports
            .iter()
            .any(|block| block.ssrc == peer.ssrc() && block.cumulative_lost == 0)
        {
            continue;
        }
        let block = ReportBlock {
            ssrc,
            fraction_lost: 64,
            cumulative_lost: 12,
            highest_sequence: 1,
            jitter: 0,
            last_sender_report: info.ntp.middle(),
            delay_since_last: 0,
        };
        let mut report = Vec::new();
        write_receiver_report(&mut report, peer.ssrc(), Some(&block), "test");
        peer.send(to, &report);
        return;
    }
    panic!("no sender report came");
}

#[test]
fn silence_is_told_of_the_side_that_should_send() {
    let worker = worker_with(|config| config.media_timeout = 150 * MILLISECOND);
    let mut call = connect(&worker, 1);
    let formats = AudioCommand::SetFormats {
        browser: opus(Direction::SendRecv),
        pbx: pcmu(Direction::SendOnly),
    }
    .to(StreamId::FIRST_AUDIO);
    worker
        .handle
        .command(call.key, formats)
        .expect("the worker runs");
    let silent = call.expect_event(|event| matches!(event, MediaEvent::Silent { .. }));
    assert!(
        matches!(
            silent,
            MediaEvent::Silent {
                from: Side::Browser
            }
        ),
        "{silent:?}"
    );
    std::thread::sleep(300 * MILLISECOND);
    while let Ok(event) = call.events.try_recv() {
        assert!(!matches!(event, MediaEvent::Silent { .. }), "{event:?}");
    }
}

/// Audio follows another port of the SDP's host without waiting for silence.
fn at_once() -> Latching {
    Latching {
        after: Duration::ZERO,
        ..Latching::default()
    }
}
