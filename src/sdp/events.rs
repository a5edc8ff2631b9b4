//! Which telephone events are used (RFC 4733): clocks and payload types.

use crate::codec::{Codec, EventFormat};

/// Each payload type with one clock: where it is mapped to several, that of the audio in use (RFC
/// 4733 section 2.2), else the first.
pub(super) fn mapped_once(events: &[EventFormat], codec: Codec) -> Vec<EventFormat> {
    let mut once: Vec<EventFormat> = Vec::with_capacity(events.len());
    for event in events {
        let known = once
            .iter_mut()
            .find(|known| known.payload_type == event.payload_type);
        match known {
            Some(known) if event.clock_rate == codec.clock_rate() => *known = *event,
            Some(_) => {}
            None => once.push(*event),
        }
    }
    once
}

/// How we send digits: on the codec's clock where the other end has one (RFC 4733 section
/// 2.2), else on whichever it has.
pub(super) fn events_for(events: &[EventFormat], codec: Codec) -> Option<EventFormat> {
    events
        .iter()
        .find(|event| event.clock_rate == codec.clock_rate())
        .or(events.first())
        .copied()
}

/// The same towards a PBX: on 8000 where it has that and the trunk does not ask for another.
pub(super) fn events_to_pbx(
    events: &[EventFormat],
    codec: Codec,
    clocks: &[u32],
) -> Option<EventFormat> {
    events
        .iter()
        .find(|event| event.clock_rate == 8_000 && clocks.contains(&8_000))
        .copied()
        .or_else(|| events_for(events, codec))
}

/// What is agreed on with a browser: the event on the clock of the audio alone, where the browser
/// has it. Beside Opus with both clocks agreed on, Chromium sends on 8000 and counts on 48000.
pub(super) fn events_to_browser(events: &[EventFormat], codec: Codec) -> Vec<EventFormat> {
    let events = mapped_once(events, codec);
    let of_audio = events
        .iter()
        .find(|event| event.clock_rate == codec.clock_rate());
    match of_audio {
        Some(event) => vec![*event],
        None => events,
    }
}

#[cfg(test)]
mod tests;
