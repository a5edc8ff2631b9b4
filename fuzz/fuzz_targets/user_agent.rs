//! Datagrams into a whole user agent that has a call: no panic, nothing grows, every timer ends.
//! Datagrams are parted by a line of two percent signs.
#![no_main]

#[path = "../../tests/fixtures/user_agent.rs"]
mod fixture;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline::sip::{Command, DnsResponse, Flow, UserAgentEvent, Outgoing, Transport, UserAgent};

use crate::fixture::{PEER, user_agent};

const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Takes what the agent has to say; calls and texts are answered at once.
fn drain(agent: &mut UserAgent, now: Instant) {
    loop {
        let mut busy = false;
        while let Some(transmit) = agent.poll_transmit() {
            assert!(transmit.bytes.len() < 200_000);
            busy = true;
        }
        while let Some(event) = agent.poll_event() {
            busy = true;
            if let UserAgentEvent::Resolve { query } = &event {
                // Every look-up is answered in the end.
                let why = "there is no DNS here".to_owned();
                agent.handle_resolved(query, DnsResponse::Failed { why }, now);
            }
            if let UserAgentEvent::Message(message) = &event {
                // Who takes texts answers each of them.
                agent.answer_message(message.id, 200, now);
            }
            if let UserAgentEvent::Incoming(incoming) = event {
                let ring = Command::Progress {
                    status: 180,
                    body: None,
                };
                let _ = agent.handle_command(incoming.leg, ring, now);
                let body = Bytes::from_static(SDP);
                let _ = agent.handle_command(incoming.leg, Command::Accept { body }, now);
            }
        }
        if !busy {
            return;
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    // Seeds answer the INVITE that these random numbers make.
    let mut agent = user_agent(&[Transport::Udp], 7);
    let mut now = Instant::now();
    let outgoing = Outgoing {
        trunk: "pbx".to_owned(),
        to_user: "600".to_owned(),
        from_user: "alice".to_owned(),
        body: Bytes::from_static(SDP),
        call_id: Some("ours".to_owned()),
        ..Outgoing::default()
    };
    agent.invite(outgoing, now).expect("the trunk is there");
    drain(&mut agent, now);
    let remote: SocketAddr = PEER.parse().expect("an address");
    let flow = Flow::new(Transport::Udp, 0, remote);
    let mut rest = bytes;
    loop {
        let end = rest.windows(4).position(|window| window == b"\n%%\n");
        let datagram = &rest[..end.map_or(rest.len(), |end| end + 1)];
        agent.handle_message(&Bytes::copy_from_slice(datagram), flow, now);
        drain(&mut agent, now);
        now += Duration::from_millis(300);
        agent.handle_timeout(now);
        drain(&mut agent, now);
        match end {
            Some(end) => rest = &rest[end + 4..],
            None => break,
        }
    }
    // Every transaction ends by its timers, whatever came.
    agent.shut_down(now);
    for _ in 0..10_000 {
        drain(&mut agent, now);
        match agent.poll_timeout() {
            Some(at) => now = now.max(at),
            None => break,
        }
        agent.handle_timeout(now);
    }
    drain(&mut agent, now);
    assert_eq!(agent.transactions(), 0);
    assert_eq!(agent.legs(), 0);
});
