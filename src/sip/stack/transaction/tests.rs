//! Traces of the four transactions in virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::action::Action;
use super::client::Client;
use super::client_invite::ClientInvite;
use super::server::Server;
use super::server_invite::{ServerInvite, ServerInviteInput};
use super::timers::Timers;

const UDP: Timers = Timers::new(false);
const TCP: Timers = Timers::new(true);
const REQUEST: Bytes = Bytes::from_static(b"request");
const ACK: Bytes = Bytes::from_static(b"ack");
const RESPONSE: Bytes = Bytes::from_static(b"response");

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Runs a machine's timers until it has none, noting when it did what.
macro_rules! run_out {
    ($machine:expr, $start:expr) => {{
        let mut trace = Vec::new();
        while let Some(at) = $machine.poll_timeout() {
            $machine.handle_timeout(at);
            while let Some(action) = $machine.poll() {
                trace.push(((at - $start).as_millis(), action));
            }
        }
        trace
    }};
}

macro_rules! actions {
    ($machine:expr) => {{
        let mut actions = Vec::new();
        while let Some(action) = $machine.poll() {
            actions.push(action);
        }
        actions
    }};
}

fn sends(trace: &[(u128, Action)]) -> Vec<u128> {
    trace
        .iter()
        .filter(|(_, action)| matches!(action, Action::Transmit(_)))
        .map(|(at, _)| *at)
        .collect()
}

#[test]
fn invite_is_repeated_by_timer_a_and_given_up_by_timer_b() {
    let start = Instant::now();
    let mut machine = ClientInvite::new(REQUEST, UDP, start);
    assert_eq!(actions!(machine), [Action::Transmit(REQUEST)]);
    let trace = run_out!(machine, start);
    assert_eq!(sends(&trace), [500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(trace.last(), Some(&(32_000, Action::TimedOut)));
    assert!(machine.is_terminated());

    let mut machine = ClientInvite::new(REQUEST, TCP, start);
    actions!(machine);
    assert_eq!(run_out!(machine, start), [(32_000, Action::TimedOut)]);
}

#[test]
fn a_provisional_answer_stops_timers_a_and_b() {
    let start = Instant::now();
    let mut machine = ClientInvite::new(REQUEST, UDP, start);
    actions!(machine);
    machine.handle(180, Bytes::new(), start);
    assert_eq!(actions!(machine), [Action::Deliver]);
    assert!(machine.is_proceeding());
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn a_refusal_is_acknowledged_each_time_until_timer_d() {
    let start = Instant::now();
    for (timers, lingers) in [(UDP, 32_000), (TCP, 0)] {
        let mut machine = ClientInvite::new(REQUEST, timers, start);
        actions!(machine);
        machine.handle(486, ACK, start);
        assert_eq!(actions!(machine), [Action::Transmit(ACK), Action::Deliver]);
        machine.handle(486, ACK, start);
        assert_eq!(actions!(machine), [Action::Transmit(ACK)]);
        assert_eq!(machine.poll_timeout(), Some(start + ms(lingers)));
        machine.handle_timeout(start + ms(lingers));
        assert!(machine.is_terminated());
    }
}

#[test]
fn every_2xx_goes_up_until_timer_m() {
    let start = Instant::now();
    let mut machine = ClientInvite::new(REQUEST, UDP, start);
    actions!(machine);
    machine.handle(200, Bytes::new(), start);
    machine.handle(200, Bytes::new(), start + ms(900));
    assert_eq!(actions!(machine), [Action::Deliver, Action::Deliver]);
    // A refusal after a 2xx is another fork's: nothing.
    machine.handle(486, ACK, start);
    assert_eq!(actions!(machine), []);
    machine.handle_timeout(start + ms(31_999));
    assert!(!machine.is_terminated());
    machine.handle_timeout(start + ms(32_000));
    assert!(machine.is_terminated());
}

#[test]
fn other_requests_are_repeated_by_timer_e_and_given_up_by_timer_f() {
    let start = Instant::now();
    let mut machine = Client::new(REQUEST, UDP, start);
    actions!(machine);
    let trace = run_out!(machine, start);
    assert_eq!(
        sends(&trace),
        [
            500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
        ]
    );
    assert_eq!(trace.last(), Some(&(32_000, Action::TimedOut)));

    let mut machine = Client::new(REQUEST, UDP, start);
    actions!(machine);
    machine.handle(100, start + ms(100));
    actions!(machine);
    let trace = run_out!(machine, start);
    assert_eq!(sends(&trace)[..3], [500, 4500, 8500]);
}

#[test]
fn a_final_answer_goes_up_once_and_timer_k_absorbs_the_rest() {
    let start = Instant::now();
    for (timers, lingers) in [(UDP, 5_000), (TCP, 0)] {
        let mut machine = Client::new(REQUEST, timers, start);
        actions!(machine);
        machine.handle(200, start);
        machine.handle(200, start);
        assert_eq!(actions!(machine), [Action::Deliver]);
        assert_eq!(machine.poll_timeout(), Some(start + ms(lingers)));
        machine.handle_timeout(start + ms(lingers));
        assert!(machine.is_terminated());
    }
}

#[test]
fn a_refused_invite_is_repeated_by_timer_g_until_timer_h() {
    let start = Instant::now();
    let mut machine = ServerInvite::new(UDP);
    machine.handle(ServerInviteInput::Respond(404, RESPONSE), start);
    assert_eq!(actions!(machine), [Action::Transmit(RESPONSE)]);
    let trace = run_out!(machine, start);
    assert_eq!(sends(&trace)[..5], [500, 1500, 3500, 7500, 11500]);
    assert_eq!(trace.last(), Some(&(32_000, Action::TimedOut)));
}

#[test]
fn the_ack_stops_timer_g_and_timer_i_ends_it() {
    let start = Instant::now();
    for (timers, lingers) in [(UDP, 5_000), (TCP, 0)] {
        let mut machine = ServerInvite::new(timers);
        machine.handle(ServerInviteInput::Respond(404, RESPONSE), start);
        machine.handle(ServerInviteInput::Repeated, start);
        assert_eq!(actions!(machine).len(), 2);
        machine.handle(ServerInviteInput::Acknowledged, start);
        machine.handle(ServerInviteInput::Repeated, start);
        assert_eq!(actions!(machine), []);
        assert_eq!(machine.poll_timeout(), Some(start + ms(lingers)));
        machine.handle_timeout(start + ms(lingers));
        assert!(machine.is_terminated());
    }
}

#[test]
fn an_accepted_invite_absorbs_repeats_and_passes_acks_until_timer_l() {
    let start = Instant::now();
    let mut machine = ServerInvite::new(UDP);
    machine.handle(ServerInviteInput::Repeated, start);
    assert_eq!(actions!(machine), []);
    machine.handle(ServerInviteInput::Respond(180, RESPONSE), start);
    machine.handle(ServerInviteInput::Repeated, start);
    assert_eq!(actions!(machine).len(), 2);
    machine.handle(ServerInviteInput::Respond(200, RESPONSE), start);
    machine.handle(ServerInviteInput::Repeated, start);
    assert_eq!(actions!(machine), [Action::Transmit(RESPONSE)]);
    machine.handle(ServerInviteInput::Acknowledged, start);
    assert_eq!(actions!(machine), [Action::Deliver]);
    assert_eq!(machine.poll_timeout(), Some(start + ms(32_000)));
    machine.handle_timeout(start + ms(32_000));
    assert!(machine.is_terminated());
}

#[test]
fn a_request_is_answered_again_until_timer_j() {
    let start = Instant::now();
    for (timers, lingers) in [(UDP, 32_000), (TCP, 0)] {
        let mut machine = Server::new(timers);
        machine.handle_repeated();
        assert_eq!(actions!(machine), []);
        machine.respond(RESPONSE, start);
        machine.respond(Bytes::new(), start);
        machine.handle_repeated();
        assert_eq!(
            actions!(machine),
            [Action::Transmit(RESPONSE), Action::Transmit(RESPONSE)]
        );
        assert_eq!(machine.poll_timeout(), Some(start + ms(lingers)));
        machine.handle_timeout(start + ms(lingers));
        assert!(machine.is_terminated());
    }
}
