//! How calls, workers and port pairs begin and end.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use trunkline::codec::Direction;
use trunkline::media::{
    AudioCommand, CallKey, CloseReason, Command, Error, MediaEvent, Side, StreamId,
};
use trunkline::rtp::{Compound, RtcpPacket};

use crate::harness::*;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_call_that_ends_says_goodbye_to_both_sides() {
    let worker = worker();
    let mut call = connect(&worker, 1);
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
    worker
        .handle
        .command(call.key, Command::Close)
        .expect("the worker runs");
    call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
    for peer in [&call.pbx, &call.browser] {
        let (datagram, _) = peer.receive(PATIENCE).expect("a last report");
        let last = Compound::new(&datagram).last();
        assert!(
            matches!(last, Some(Ok(RtcpPacket::Bye { ssrc: Some(_) }))),
            "{last:?}"
        );
    }
}

#[test]
fn an_owner_that_does_not_listen_loses_its_call_and_hears_why() {
    let worker = worker();
    let (sender, mut events) = mpsc::channel(4);
    worker
        .handle
        .open(CallKey(1), worker.peer(), sender)
        .expect("the worker runs");
    for _ in 0..100 {
        let refused = AudioCommand::SendDigits {
            to: Side::Pbx,
            digits: "1".to_owned(),
            duration: 80 * MILLISECOND,
        }
        .to(StreamId::FIRST_AUDIO);
        worker
            .handle
            .command(CallKey(1), refused)
            .expect("the worker runs");
    }
    let begin = Instant::now();
    while worker.handle.load() > 0 {
        assert!(begin.elapsed() < PATIENCE, "the call goes on");
        std::thread::sleep(MILLISECOND);
    }
    let mut last = None;
    while let Some(event) = events.blocking_recv() {
        last = Some(event);
    }
    assert!(
        matches!(
            last,
            Some(MediaEvent::Closed {
                reason: CloseReason::EventsLost,
                ..
            })
        ),
        "{last:?}"
    );
}

#[test]
fn a_second_call_with_the_same_key_is_refused() {
    let worker = worker();
    let mut call = connect(&worker, 1);
    let (sender, mut events) = mpsc::channel(4);
    worker
        .handle
        .open(CallKey(1), worker.peer(), sender)
        .expect("the worker runs");
    let event = events.blocking_recv();
    assert!(
        matches!(
            event,
            Some(MediaEvent::Closed {
                reason: CloseReason::Conflict,
                ..
            })
        ),
        "{event:?}"
    );
    assert_eq!(worker.handle.load(), 1);
    call.browser_sends_tone(440.0, 20);
    assert!(call.pbx_hears().len() >= 15 * 160);
}

#[test]
fn shutting_down_closes_every_call_and_ends_the_thread() {
    let worker = worker();
    let mut calls: Vec<_> = (0..3).map(|key| connect(&worker, key)).collect();
    worker.handle.shut_down();
    for call in &mut calls {
        let closed = call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
        assert!(matches!(
            closed,
            MediaEvent::Closed {
                reason: CloseReason::ShutDown,
                ..
            }
        ));
    }
    let late_peer = worker.peer();
    worker.thread.join().expect("the thread does not panic");
    let (sender, _events) = mpsc::channel(4);
    let late = worker.handle.open(CallKey(9), late_peer, sender);
    assert!(matches!(late, Err(Error::Stopped)), "{late:?}");
}

#[test]
fn a_worker_ends_with_its_last_handle() {
    let worker = worker();
    drop(worker.handle.clone());
    assert!(!worker.thread.is_finished());
    drop(worker.handle);
    worker.thread.join().expect("the thread does not panic");
}

#[test]
fn ports_run_out_rest_and_come_back() {
    let worker = worker();
    let pool = ports(2, 300 * MILLISECOND);
    let first = pool.reserve().expect("a pair is free");
    let second = pool.reserve().expect("a pair is free");
    let port = first.local.port();
    assert_eq!(
        (port % 2, first.local.port().abs_diff(second.local.port())),
        (0, 2)
    );
    assert_eq!(first.rtcp.local_addr().expect("bound").port(), port + 1);
    let exhausted = pool.reserve();
    assert!(
        matches!(exhausted, Err(Error::PortsExhausted { .. })),
        "{exhausted:?}"
    );

    let mut call = connect_with(&worker, 1, first);
    worker
        .handle
        .command(call.key, Command::Close)
        .expect("the worker runs");
    call.expect_event(|event| matches!(event, MediaEvent::Closed { .. }));
    assert_eq!(pool.idle(), 1);
    assert!(
        matches!(pool.reserve(), Err(Error::PortsExhausted { .. })),
        "the pair rests"
    );
    std::thread::sleep(350 * MILLISECOND);
    let again = pool.reserve().expect("the pair has rested");
    assert_eq!(again.local.port(), port);
}

#[test]
fn a_port_of_another_process_is_skipped() {
    let pool = ports(3, Duration::ZERO);
    let first = pool.reserve().expect("a pair is free");
    let port = first.local.port();
    let foreign = std::net::UdpSocket::bind((LOOPBACK, port + 3)).expect("the port is free");
    let third = pool.reserve().expect("a pair is free");
    assert_eq!(third.local.port(), port + 4);
    drop(foreign);
    assert_eq!(
        pool.reserve().expect("a pair is free").local.port(),
        port + 2
    );
}

#[test]
fn a_socket_with_more_than_its_share_is_read_to_its_end() {
    let worker = worker();
    let sockets = worker.ports.reserve().expect("a pair is free");
    let mut pbx = Peer::new();
    for _ in 0..100 {
        pbx.send_rtp(sockets.local, PCMU, &[0xff; 160], 160);
    }
    let (sender, mut events) = mpsc::channel(64);
    let key = CallKey(1);
    worker
        .handle
        .open(key, worker.peer(), sender)
        .expect("the worker runs");
    for command in [
        AudioCommand::SetRemoteRtp {
            rtp: pbx.address(),
            rtcp: None,
            srtp_keys: None,
        }
        .to(StreamId::FIRST_AUDIO),
        AudioCommand::SetFormats {
            browser: opus(Direction::SendRecv),
            pbx: pcmu(Direction::SendRecv),
        }
        .to(StreamId::FIRST_AUDIO),
        Command::AttachRtp(StreamId::FIRST_AUDIO, sockets),
    ] {
        worker
            .handle
            .command(key, command)
            .expect("the worker runs");
    }
    // Nothing more comes that would wake the worker.
    std::thread::sleep(500 * MILLISECOND);
    worker
        .handle
        .command(key, Command::Close)
        .expect("the worker runs");
    let statistics = loop {
        match events.blocking_recv() {
            Some(MediaEvent::Closed { statistics, .. }) => break statistics,
            Some(_) => {}
            None => panic!("the end is not told"),
        }
    };
    assert_eq!(statistics.pbx.packets_in, 100);
}
