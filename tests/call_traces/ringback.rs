//! Who makes the ringing tone before the answer (RFC 3960 section 3.2).

use super::*;
use trunkline::call::Side;

const GRACE: Duration = Duration::from_millis(200);

struct Ring(Trace);

impl Ring {
    fn new() -> Self {
        Ring(Trace::outgoing(false, CHROMIUM_OFFER).0)
    }

    fn progress(&mut self, status: u16, described: bool) -> Vec<Notice> {
        self.progress_of(0, status, described)
    }

    fn progress_of(&mut self, fork: u32, status: u16, described: bool) -> Vec<Notice> {
        let port = (4000 + fork).to_string();
        let sdp = described.then(|| PBX_ANSWER.replace("4000", &port));
        notices(self.0.happens(Event::Progressed { status, sdp, fork }))
    }

    fn audio(&mut self) -> Vec<Notice> {
        notices(self.0.happens(Event::AudioBegan { from: Side::Pbx }))
    }

    fn wait(&mut self, time: Duration) -> Vec<Notice> {
        self.0.now += time;
        self.0.call.handle_timeout(self.0.now);
        notices(self.0.actions())
    }
}

fn notices(actions: Vec<Action>) -> Vec<Notice> {
    actions
        .into_iter()
        .filter_map(|action| match action {
            Action::Notify(notice) => Some(notice),
            _ => None,
        })
        .collect()
}

#[test]
fn ringing_after_silent_183_rings_at_once() {
    let mut ring = Ring::new();
    assert_eq!(ring.progress(183, true), [Notice::EarlyMedia]);
    assert_eq!(ring.wait(GRACE), [], "without a 180 nobody rings");
    assert_eq!(ring.progress(180, false), [Notice::Ringing]);
    assert_eq!(ring.progress(180, false), [], "once");
    // The announcement comes late: the tone stops.
    assert_eq!(ring.audio(), [Notice::EarlyMedia]);
    assert_eq!(ring.progress(180, false), []);
    assert_eq!(ring.wait(GRACE), []);
}

#[test]
fn ringing_soon_after_183_waits_for_its_audio() {
    let mut ring = Ring::new();
    ring.progress(183, true);
    ring.wait(GRACE / 4);
    assert_eq!(ring.progress(180, false), []);
    assert_eq!(ring.0.call.poll_timeout(), Some(ring.0.now + GRACE * 3 / 4));
    assert_eq!(ring.wait(GRACE / 2), []);
    assert_eq!(ring.wait(GRACE / 4), [Notice::Ringing]);
}

#[test]
fn early_media_with_audio_never_rings() {
    let mut ring = Ring::new();
    ring.progress(183, true);
    assert_eq!(ring.audio(), []);
    assert_eq!(ring.progress(180, false), []);
    assert_eq!(ring.wait(GRACE * 9), []);
}

#[test]
fn ringing_with_a_description_and_no_audio_rings() {
    let mut ring = Ring::new();
    assert_eq!(ring.progress(180, true), [Notice::EarlyMedia]);
    assert_eq!(ring.wait(GRACE), [Notice::Ringing]);
    // Repeated to stay alive: nothing new.
    assert_eq!(ring.progress(180, true), []);
    assert_eq!(ring.wait(GRACE), []);
}

#[test]
fn silent_183_after_ringing_rings_on() {
    let mut ring = Ring::new();
    assert_eq!(ring.progress(180, false), [Notice::Ringing]);
    assert_eq!(ring.progress(183, true), [Notice::EarlyMedia]);
    assert_eq!(ring.wait(GRACE), [Notice::Ringing]);
}

#[test]
fn early_media_that_stops_rings_after_a_180_only() {
    for rung in [true, false] {
        let mut ring = Ring::new();
        ring.progress(if rung { 180 } else { 183 }, true);
        ring.audio();
        let mut changed = |silent| {
            let from = Side::Pbx;
            let told = notices(ring.0.happens(Event::AudioChanged { from, silent }));
            told.into_iter()
                .filter(|notice| !matches!(notice, Notice::Media { .. }))
                .collect()
        };
        let stopped: Vec<Notice> = changed(true);
        let back: Vec<Notice> = changed(false);
        match rung {
            true => assert_eq!(
                (stopped, back),
                (vec![Notice::Ringing], vec![Notice::EarlyMedia])
            ),
            false => assert_eq!((stopped, back), (vec![], vec![])),
        }
        if !rung {
            let from = Side::Pbx;
            ring.0.happens(Event::AudioChanged { from, silent: true });
            assert_eq!(ring.progress(180, false), [Notice::Ringing]);
        }
    }
}

#[test]
fn silent_183_of_another_fork_rings_on_its_180() {
    let mut ring = Ring::new();
    assert_eq!(ring.progress_of(0, 183, true), [Notice::EarlyMedia]);
    ring.wait(GRACE);
    assert_eq!(ring.progress_of(1, 180, false), [Notice::Ringing]);
    assert_eq!(ring.progress_of(1, 183, true), [Notice::EarlyMedia]);
    assert_eq!(ring.audio(), []);
    assert_eq!(ring.wait(GRACE), []);
}
