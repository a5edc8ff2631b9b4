//! A PBX with SRTP: heard both ways, also when the keys change; who has other keys is neither
//! heard nor followed.

use trunkline::media::{AudioCommand, Command, StreamId};
use trunkline::srtp_keys::{CryptoSuite, LONGEST_MASTER, MasterKey, SrtpKeys};

use super::harness::*;
use super::*;

fn srtp_keys(suite: CryptoSuite, ours: u8, theirs: u8) -> SrtpKeys {
    let key = |fill| MasterKey::from_random(suite, [fill; LONGEST_MASTER]);
    SrtpKeys {
        send: key(ours),
        receive: key(theirs),
    }
}

/// The PBX's end of it.
fn turned(srtp_keys: SrtpKeys) -> SrtpKeys {
    SrtpKeys {
        send: srtp_keys.receive,
        receive: srtp_keys.send,
    }
}

/// Tells the worker where the PBX is and which keys hold.
fn agree(worker: &Worker, call: &Call, srtp_keys: Option<SrtpKeys>) {
    let command = AudioCommand::SetRemoteRtp {
        rtp: call.pbx.address(),
        rtcp: None,
        srtp_keys,
    }
    .to(StreamId::FIRST_AUDIO);
    worker
        .handle
        .command(call.key, command)
        .expect("the worker runs");
    std::thread::sleep(20 * MILLISECOND);
}

fn sounds(call: &mut Call) {
    call.browser_sends_tone(440.0, 50);
    let heard = call.pbx_hears();
    assert!(heard.len() >= 45 * 160, "{} samples", heard.len());
    assert!(share_of(440.0, &heard[1_600..], 8_000) > 0.9);
    call.pbx_sends_tone(1_004.0, 50);
    let heard = call.browser_hears();
    assert!(heard.len() >= 45 * 960, "{} samples", heard.len());
    assert!(share_of(1_004.0, &heard[9_600..], 48_000) > 0.9);
}

fn close(worker: &Worker, call: &mut Call) -> trunkline::media::CallStatistics {
    worker
        .handle
        .command(call.key, Command::Close)
        .expect("the worker runs");
    let closed = call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
    let MediaEvent::Closed { statistics, .. } = closed else {
        panic!("{closed:?}");
    };
    statistics
}

#[test]
fn a_tone_and_reports_cross_under_every_suite_and_through_a_change_of_keys() {
    let worker = worker();
    for (number, suite) in (1..).zip(CryptoSuite::ALL) {
        let mut call = connect(&worker, number);
        let first = srtp_keys(suite, 1, 2);
        agree(&worker, &call, Some(first));
        call.pbx.secure(&turned(first));
        sounds(&mut call);
        // The same again, as by hold and resume, and then new keys.
        agree(&worker, &call, Some(first));
        sounds(&mut call);
        let second = srtp_keys(suite, 3, 4);
        agree(&worker, &call, Some(second));
        call.pbx.secure(&turned(second));
        sounds(&mut call);

        let statistics = close(&worker, &mut call);
        assert_eq!(statistics.pbx.packets_in, 150, "{suite}");
        assert_eq!(statistics.pbx.lost_in, 0, "{suite}");
        assert_eq!(statistics.pbx.dropped.total(), 0, "{:?}", statistics.pbx);
    }
}

#[test]
fn a_report_under_the_key_is_believed_and_a_plain_one_is_not() {
    let worker = worker_with(|config| config.statistics_interval = 100 * MILLISECOND);
    let mut call = connect(&worker, 1);
    let keys = srtp_keys(CryptoSuite::Aes128CmSha1_32, 1, 2);
    agree(&worker, &call, Some(keys));
    call.pbx.secure(&turned(keys));
    call.browser_sends_tone(440.0, 20);
    let (packet, _) = call.pbx.receive(PATIENCE).expect("our audio");
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().expect("four octets"));
    let report = |fraction_lost| {
        let block = ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: 0,
            highest_sequence: 1,
            jitter: 0,
            last_sender_report: 0,
            delay_since_last: 0,
        };
        let mut report = Vec::new();
        write_receiver_report(&mut report, call.pbx.ssrc(), Some(&block), "pbx");
        report
    };
    let (half, all) = (report(128), report(255));
    let rtcp = SocketAddr::new(LOOPBACK, call.rtp.port() + 1);
    call.pbx.send(rtcp, &half);
    let believed = call.expect_event(
        |event| matches!(event, MediaEvent::Statistics(statistics) if statistics.pbx.loss_out > 0.0),
    );
    let MediaEvent::Statistics(statistics) = believed else {
        panic!("{believed:?}");
    };
    assert!((statistics.pbx.loss_out - 0.5).abs() < 0.01);
    Peer::new().send(rtcp, &all);
    std::thread::sleep(50 * MILLISECOND);
    let statistics = close(&worker, &mut call);
    assert!((statistics.pbx.loss_out - 0.5).abs() < 0.01);
    assert_eq!(statistics.pbx.dropped.of("srtp_forged"), 1);
}

#[test]
fn another_key_and_plain_rtp_are_silent_counted_and_not_followed() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let keys = srtp_keys(CryptoSuite::Aes128CmSha1_80, 1, 2);
    agree(&worker, &call, Some(keys));
    call.pbx
        .secure(&turned(srtp_keys(CryptoSuite::Aes128CmSha1_80, 1, 9)));
    call.pbx_sends_tone(1_004.0, 30);
    assert_eq!(call.browser_hears().len(), 0);
    let rtp = call.rtp;
    let mut plain = Peer::new();
    send_tone(&mut plain, rtp, 700.0, 30);
    assert_eq!(call.browser_hears().len(), 0);
    // Nor was anybody latched on to: audio still goes where SDP says.
    call.browser_sends_tone(440.0, 50);
    assert!(call.pbx_hears().len() >= 45 * 160);
    assert_eq!(plain.drain(50 * MILLISECOND).len(), 0);

    // The right key is heard, what was heard before is not heard again.
    call.pbx.secure(&turned(keys));
    call.pbx_sends_tone(1_004.0, 30);
    assert!(call.browser_hears().len() >= 25 * 960);
    let statistics = close(&worker, &mut call);
    assert_eq!(statistics.pbx.dropped.of("srtp_forged"), 60);
}

#[test]
fn srtp_may_end_and_come_back() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    sounds(&mut call);
    let keys = srtp_keys(CryptoSuite::AeadAes128Gcm, 1, 2);
    agree(&worker, &call, Some(keys));
    let plain = std::mem::replace(&mut call.pbx, Peer::new());
    agree(&worker, &call, Some(keys));
    call.pbx.secure(&turned(keys));
    sounds(&mut call);
    let secure = std::mem::replace(&mut call.pbx, plain);
    agree(&worker, &call, None);
    sounds(&mut call);
    call.pbx = secure;
    agree(&worker, &call, Some(keys));
    sounds(&mut call);
}

#[test]
fn keys_cross_as_telephone_events() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let keys = srtp_keys(CryptoSuite::Aes128CmSha1_80, 1, 2);
    agree(&worker, &call, Some(keys));
    call.pbx.secure(&turned(keys));
    call.pbx_sends_tone(1_004.0, 5);
    let rtp = call.rtp;
    call.pbx.send_key(rtp, PCMU_EVENTS, 5, 800);
    let digits = call.digits(200 * MILLISECOND);
    assert_eq!(digits, [(Side::Pbx, '5', 100 * MILLISECOND)]);
    call.browser.send_key(call.webrtc, OPUS_EVENTS, 11, 4_800);
    assert!(!call.pbx.drain_payloads(PCMU_EVENTS).is_empty());
}
