//! Records as traces: commands, events and actions of a call in, its record out.

use super::milestone::MOST_ENTRIES;
use super::*;
use crate::call::ids::EndpointId;
use crate::call::transport_event::DtlsFailure;

fn outgoing() -> CallRecord {
    let client = "198.51.100.7:5000".parse().expect("an address");
    CallRecord::outgoing("alice".to_owned(), "600".to_owned(), client)
}

fn incoming() -> CallRecord {
    let source = "192.0.2.9:5060".parse().expect("an address");
    CallRecord::incoming(
        "100".to_owned(),
        "alice".to_owned(),
        source,
        "id@pbx".to_owned(),
    )
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn pair(remote: &str) -> CandidatePair {
    CandidatePair {
        local: "192.0.2.1:4000".parse().expect("an address"),
        remote: remote.parse().expect("an address"),
    }
}

fn transport(record: &mut CallRecord, at: u64, event: TransportEvent) {
    record.take_event(&Event::Transport(event), ms(at));
}

fn notice(record: &mut CallRecord, at: u64, notice: Notice) {
    record.take_action(&Action::Notify(notice), ms(at));
}

fn finish(record: &mut CallRecord, at: u64, reason: EndReason, status: Option<u16>) {
    record.take_action(&Action::Finish { reason, status }, ms(at));
}

const SUITE: CryptoSuite = CryptoSuite::AeadAes128Gcm;

#[test]
fn answered_call_has_its_steps_and_times() {
    let mut record = outgoing();
    record.take_action(&Action::Invite { offer: None }, ms(1));
    assert_eq!(record.take_leg("pbx", "id@gateway"), None);
    let first = pair("203.0.113.9:6000");
    transport(
        &mut record,
        40,
        TransportEvent::IceConnected { pair: first },
    );
    transport(
        &mut record,
        95,
        TransportEvent::DtlsConnected { suite: SUITE },
    );
    notice(&mut record, 120, Notice::Ringing);
    notice(&mut record, 150, Notice::EarlyMedia);
    let from = Side::Pbx;
    record.take_event(&Event::AudioBegan { from }, ms(160));
    notice(&mut record, 2_000, Notice::Answered);
    let from = Side::Browser;
    record.take_event(&Event::AudioBegan { from }, ms(2_040));
    finish(&mut record, 5_500, EndReason::HangupRemote, None);

    assert_eq!(
        record.timeline.to_string(),
        "1 invited, 40 ice connected (203.0.113.9:6000), 95 dtls connected (AEAD_AES_128_GCM), \
         120 ringing, 150 early media, 160 audio from pbx, 2000 answered, \
         2040 audio from browser, 5500 ended (hangup-remote)"
    );
    let first_times = FirstTimes {
        ringing: Some(ms(120)),
        answered: Some(ms(2_000)),
        ice_connected: Some(ms(40)),
        dtls_connected: Some(ms(95)),
        audio_of_browser: Some(ms(2_040)),
        audio_of_pbx: Some(ms(160)),
    };
    assert_eq!(record.first, first_times);
    assert_eq!(record.talked(), Some(ms(3_500)));
    assert_eq!(record.fault(), Some("nobody"));
    assert_eq!(record.transports.dtls_srtp, Some(SUITE));
    assert_eq!(record.names.trunk, "pbx");
    assert_eq!(record.names.sip_call_id, "id@gateway");
}

#[test]
fn refused_incoming_call_ends_at_once() {
    let mut record = incoming();
    record.refuse(EndReason::NotFound);
    let end = End {
        reason: EndReason::NotFound,
        status: None,
        at: Duration::ZERO,
    };
    assert_eq!(record.end, Some(end));
    assert_eq!(
        record.timeline.to_string(),
        "0 invited, 0 ended (not-found)"
    );
    assert_eq!(record.talked(), None);
}

#[test]
fn call_refused_by_the_pbx_keeps_status_and_fault() {
    let mut record = outgoing();
    record.take_action(&Action::Invite { offer: None }, ms(0));
    finish(&mut record, 30, EndReason::TrunkRefused, Some(500));
    let end = record.end.expect("it has ended");
    assert_eq!((end.status, end.at), (Some(500), ms(30)));
    assert_eq!(record.fault(), Some("pbx"));
    assert_eq!(record.talked(), None, "it was never answered");
}

#[test]
fn trunk_failover_names_the_trunk_that_was_left() {
    let mut record = outgoing();
    record.take_action(&Action::Invite { offer: None }, ms(0));
    assert_eq!(record.take_leg("first", "1@gateway"), None);
    let next = Action::InviteNext {
        offer: None,
        status: 503,
    };
    record.take_action(&next, ms(200));
    let failover = Failover {
        left: "first".to_owned(),
        status: 503,
    };
    assert_eq!(record.take_leg("second", "2@gateway"), Some(failover));
    assert_eq!(record.names.trunk, "second");
    assert_eq!(record.names.sip_call_id, "2@gateway");
    assert_eq!(record.counts.trunk_failovers, 1);
    assert_eq!(record.take_leg("second", "2@gateway"), None, "told once");
}

#[test]
fn pair_is_the_first_then_the_newest_one() {
    let mut record = outgoing();
    transport(&mut record, 1, TransportEvent::Disconnected);
    assert_eq!(record.transports.pair, None);
    let first = pair("198.51.100.7:5000");
    transport(&mut record, 2, TransportEvent::IceConnected { pair: first });
    transport(&mut record, 3, TransportEvent::Disconnected);
    assert_eq!(record.transports.pair, Some(first));
    let second = pair("203.0.113.9:6000");
    transport(&mut record, 4, TransportEvent::PairChanged { pair: second });
    transport(&mut record, 5, TransportEvent::Reconnected);
    assert_eq!(record.transports.pair, Some(second));
    assert_eq!(record.counts.pair_changes, 1);
    assert_eq!(record.first.ice_connected, Some(ms(2)));
}

#[test]
fn failed_dtls_is_in_the_timeline_with_its_cause() {
    let mut record = outgoing();
    let cause = DtlsFailure::FingerprintMismatch;
    transport(&mut record, 80, TransportEvent::DtlsFailed { cause });
    finish(&mut record, 80, EndReason::DtlsFailed, None);
    assert_eq!(
        record.timeline.to_string(),
        "80 dtls failed (fingerprint_mismatch), 80 ended (dtls-failed)"
    );
    assert_eq!(record.transports.dtls_srtp, None);
}

#[test]
fn hold_counts_by_side_and_only_once_answered() {
    let mut record = incoming();
    record.take_command(&Command::Hold { on: true }, ms(10));
    assert_eq!(record.counts.holds, 0, "nothing to hold yet");
    let accept = Command::Accept {
        endpoint: EndpointId(1),
        sdp: String::new(),
    };
    record.take_command(&accept, ms(20));
    notice(&mut record, 30, Notice::Answered);
    record.take_command(&Command::Hold { on: true }, ms(40));
    record.take_command(&Command::Hold { on: false }, ms(50));
    notice(&mut record, 60, Notice::Held { on: true });
    notice(&mut record, 70, Notice::Held { on: false });
    assert_eq!(record.counts.holds, 2);
    assert_eq!(
        record.timeline.to_string(),
        "0 invited, 20 accepted, 30 answered, 40 held by browser, 50 resumed by browser, \
         60 held by pbx, 70 resumed by pbx"
    );
}

#[test]
fn transfers_are_counted_when_they_succeed() {
    let mut record = incoming();
    notice(&mut record, 10, Notice::Answered);
    let referred = Event::Referred {
        to: "200".to_owned(),
        attended: false,
    };
    record.take_event(&referred, ms(20));
    notice(&mut record, 30, Notice::TransferFailed { status: 486 });
    assert_eq!(record.counts.transfers, 0);
    let to = "300".to_owned();
    notice(&mut record, 40, Notice::Transferred { to });
    finish(&mut record, 50, EndReason::Transferred, None);
    assert_eq!(record.counts.transfers, 2);
}

#[test]
fn ringing_is_kept_once() {
    let mut record = incoming();
    for at in [5, 60_005] {
        let progress = Action::Progress {
            status: 180,
            sdp: None,
        };
        record.take_action(&progress, ms(at));
    }
    assert_eq!(record.timeline.to_string(), "0 invited, 5 ringing");
}

#[test]
fn timeline_is_bounded_and_counts_the_rest() {
    let mut record = outgoing();
    let entries = u32::try_from(MOST_ENTRIES).expect("small");
    for index in 0..2 * entries {
        let pair = pair("203.0.113.9:6000");
        transport(
            &mut record,
            index.into(),
            TransportEvent::PairChanged { pair },
        );
    }
    finish(&mut record, 900, EndReason::HangupLocal, None);
    assert_eq!(record.timeline.entries().len(), MOST_ENTRIES);
    assert_eq!(record.timeline.omitted(), entries + 1);
    assert_eq!(record.counts.pair_changes, 2 * entries);
    assert!(record.end.is_some(), "the end is kept beside the timeline");
    assert!(record.timeline.to_string().ends_with(", 65 more"));
}

#[test]
fn candidates_and_checks_make_no_entries() {
    let mut record = outgoing();
    let rejected = TransportEvent::CandidatesRejected {
        reason: "port",
        count: 7,
    };
    transport(&mut record, 1, rejected);
    transport(&mut record, 2, TransportEvent::ChecksSuppressed);
    assert_eq!(record.timeline.entries(), []);
}
