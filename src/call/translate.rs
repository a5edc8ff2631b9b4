//! From what the SIP leg and the media worker say to what the call's machine understands.

use std::time::Duration;

use bytes::Bytes;

use super::EndReason;
use super::message::{Event, Quality, Side, SideQuality};
use super::message_notice::MessageNotice;
use super::transport_event::{CandidatePair, DtlsFailure, TransportEvent};
use crate::{media, peer, sip};

/// How long an INFO digit lasts that does not say so.
const INFO_DIGIT: Duration = Duration::from_millis(100);

/// What a SIP event means for the call.
pub(super) fn from_sip(event: sip::Event) -> Option<Event> {
    Some(match event {
        sip::Event::Progress { status, body, fork } => Event::Progressed {
            status,
            fork,
            sdp: body.map(text),
        },
        sip::Event::ForkEnded { fork } => Event::ForkEnded { fork },
        sip::Event::ProgressConfirmed { body } => Event::ProgressConfirmed {
            sdp: body.map(text),
        },
        sip::Event::Accepted { body, fork } => Event::Accepted {
            fork,
            sdp: body.map(text),
        },
        sip::Event::Refused {
            status,
            local,
            cause,
            ..
        } => Event::Refused {
            status,
            cause,
            from_pbx: !local,
        },
        sip::Event::Reinvited { body, fork } => Event::Reoffered {
            fork,
            sdp: body.map(text),
        },
        sip::Event::ReinviteAnswered { body } => Event::ReofferAnswered { sdp: text(body) },
        sip::Event::ReinviteRefused {
            status,
            retry_after,
        } => Event::ReofferRefused {
            status,
            retry_after,
        },
        sip::Event::Confirmed { body } => Event::Confirmed {
            sdp: body.map(text),
        },
        sip::Event::Info { content_type, body } => {
            let (digit, duration) = info_digit(&content_type, &body)?;
            Event::DigitHeard {
                from: Side::Pbx,
                digit,
                duration,
            }
        }
        sip::Event::TransferProgress { status, last } => Event::TransferTold { status, last },
        sip::Event::Redirected { to } => Event::Redirected { to: party(&to) },
        sip::Event::Message { text } => Event::TextReceived { text },
        sip::Event::MessageAnswered { reference, outcome } => {
            Event::TextAnswered(MessageNotice::of_outcome(reference, outcome))
        }
        // The task sees to these itself.
        sip::Event::Referred(_) | sip::Event::Replaced { .. } | sip::Event::PeerAddress { .. } => {
            return None;
        }
        sip::Event::Cancelled => Event::Cancelled,
        sip::Event::AnsweredElsewhere => Event::Ended {
            reason: EndReason::AnsweredElsewhere,
        },
        sip::Event::Ended { why, .. } => Event::Ended {
            reason: match why {
                sip::EndedBy::Bye => EndReason::HangupRemote,
                sip::EndedBy::GivenAway => EndReason::Transferred,
                sip::EndedBy::AnsweredElsewhere => EndReason::AnsweredElsewhere,
                sip::EndedBy::AckMissing
                | sip::EndedBy::SessionTimeout
                | sip::EndedBy::TransportLost => EndReason::TrunkUnreachable,
            },
        },
    })
}

/// What a media event says of the transports of a call.
pub(super) fn transport_of(event: &media::MediaEvent) -> Option<TransportEvent> {
    Some(match event {
        media::MediaEvent::Peer(event) => return transport_of_peer(*event),
        media::MediaEvent::CandidatesRejected { reason, count } => {
            TransportEvent::CandidatesRejected {
                reason,
                count: *count,
            }
        }
        media::MediaEvent::ChecksSuppressed => TransportEvent::ChecksSuppressed,
        media::MediaEvent::RemoteLatched { rtp } => TransportEvent::RtpLatched { rtp: *rtp },
        media::MediaEvent::UnexpectedSource { rtp } => {
            TransportEvent::UnexpectedSource { rtp: *rtp }
        }
        media::MediaEvent::UnexpectedSourceHeard { rtp, signalled } => {
            TransportEvent::UnexpectedSourceHeard {
                rtp: *rtp,
                signalled: *signalled,
            }
        }
        _ => return None,
    })
}

fn transport_of_peer(event: peer::Event) -> Option<TransportEvent> {
    let pair = |route: peer::Route| CandidatePair {
        local: route.local,
        remote: route.remote,
    };
    Some(match event {
        peer::Event::IceConnected { route } => TransportEvent::IceConnected { pair: pair(route) },
        peer::Event::RouteChanged { route } | peer::Event::IceRestarted { route } => {
            TransportEvent::PairChanged { pair: pair(route) }
        }
        peer::Event::Disconnected => TransportEvent::Disconnected,
        peer::Event::Reconnected => TransportEvent::Reconnected,
        peer::Event::Connected { suite, .. } => TransportEvent::DtlsConnected { suite },
        peer::Event::Failed(failure) => TransportEvent::DtlsFailed {
            cause: match failure {
                // The end of the call says it, as where ICE only timed out.
                peer::Failure::IceTimeout => return None,
                peer::Failure::DtlsFailed => DtlsFailure::Handshake,
                peer::Failure::DtlsTimeout => DtlsFailure::Timeout,
                peer::Failure::FingerprintMismatch => DtlsFailure::FingerprintMismatch,
            },
        },
        // `Event::PeerClosed` says it.
        peer::Event::Closed => return None,
    })
}

/// What a media event means for the call; statistics and failures of the peer among them.
pub(super) fn from_media(event: media::MediaEvent) -> Option<Event> {
    Some(match event {
        media::MediaEvent::DescriptionRefused => Event::PeerFailed {
            reason: EndReason::BadOffer,
        },
        media::MediaEvent::Peer(event) => match event {
            peer::Event::Connected { .. } => Event::PeerConnected,
            peer::Event::Closed => Event::PeerClosed,
            peer::Event::Failed(failure) => Event::PeerFailed {
                reason: match failure {
                    peer::Failure::IceTimeout => EndReason::IceFailed,
                    peer::Failure::DtlsFailed
                    | peer::Failure::DtlsTimeout
                    | peer::Failure::FingerprintMismatch => EndReason::DtlsFailed,
                },
            },
            peer::Event::IceConnected { .. }
            | peer::Event::IceRestarted { .. }
            | peer::Event::RouteChanged { .. }
            | peer::Event::Disconnected
            | peer::Event::Reconnected => return None,
        },
        media::MediaEvent::Digit {
            from,
            digit,
            duration,
        } => Event::DigitHeard {
            from: side_of(from),
            digit,
            duration,
        },
        media::MediaEvent::AudioChanged { from, silent } => Event::AudioChanged {
            from: side_of(from),
            silent,
        },
        media::MediaEvent::Statistics(statistics) => {
            Event::Measured(Box::new(quality(&statistics)))
        }
        media::MediaEvent::DigitsRefused(error) => Event::DigitsRefused {
            message: error.to_string(),
        },
        media::MediaEvent::Closed { .. } => Event::MediaLost,
        media::MediaEvent::FirstAudio { from } => Event::AudioBegan {
            from: side_of(from),
        },
        media::MediaEvent::Silent { from } => Event::AudioMissing {
            from: side_of(from),
        },
        media::MediaEvent::CandidatesRejected { .. }
        | media::MediaEvent::ChecksSuppressed
        | media::MediaEvent::IceRestarting(_)
        | media::MediaEvent::UnexpectedSource { .. }
        | media::MediaEvent::UnexpectedSourceHeard { .. }
        | media::MediaEvent::RemoteLatched { .. } => return None,
    })
}

const fn side_of(side: media::Side) -> Side {
    match side {
        media::Side::Browser => Side::Browser,
        media::Side::Pbx => Side::Pbx,
    }
}

/// A worker's figures as the call knows them.
pub(super) fn quality(statistics: &media::CallStatistics) -> Quality {
    Quality {
        browser: side(&statistics.browser),
        pbx: side(&statistics.pbx),
    }
}

fn side(statistics: &media::SideStatistics) -> SideQuality {
    SideQuality {
        codec: statistics.codec.map(|codec| codec.name()),
        loss_in: Some(statistics.loss_in.into()),
        loss_out: Some(statistics.loss_out.into()),
        jitter: Some(statistics.jitter_ms.into()),
        round_trip: statistics
            .round_trip
            .map(|trip| trip.as_secs_f64() * 1_000.0),
        packets_in: statistics.packets_in,
        lost_in: statistics.lost_in,
        packets_out: statistics.packets_out,
    }
}

/// The number or user of a URI, for people; the URI where it has none.
fn party(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let user = rest.split_once('@').map_or(rest, |(user, _)| user);
    let user = user.split(';').next().unwrap_or_default();
    let user: String = user.chars().take(128).collect();
    if user.is_empty() {
        uri.to_owned()
    } else {
        user
    }
}

/// A body as text. Session descriptions are ASCII in all that matters; what is not UTF-8 in a
/// session name must not lose the call.
pub(crate) fn text(body: Bytes) -> String {
    String::from_utf8_lossy(&body).into_owned()
}

/// The digit of an INFO: `application/dtmf-relay` (`Signal=5`, `Duration=160`) or
/// `application/dtmf` (`5`); either form is read under either type.
fn info_digit(content_type: &str, body: &[u8]) -> Option<(char, Duration)> {
    let body = std::str::from_utf8(body).ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| media_type.eq_ignore_ascii_case(name);
    if !is("application/dtmf") && !is("application/dtmf-relay") {
        return None;
    }
    if !body.contains('=') {
        return digit(body).map(|digit| (digit, INFO_DIGIT));
    }
    let mut signal = None;
    let mut duration = INFO_DIGIT;
    for line in body.split(['\r', '\n', ';']) {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "signal" => signal = digit(value),
            "duration" => {
                if let Ok(milliseconds) = value.trim().parse::<u16>() {
                    duration = Duration::from_millis(milliseconds.into());
                }
            }
            _ => {}
        }
    }
    signal.map(|digit| (digit, duration))
}

/// A digit as itself, or by the number of its telephone event (RFC 4733 section 3.2): 10 is `*`, 11
/// `#`, 12 to 15 `A` to `D`. 16 is the hook flash, which is no digit.
fn digit(text: &str) -> Option<char> {
    let text = text.trim();
    let mut symbols = text.chars();
    let digit = symbols.next()?.to_ascii_uppercase();
    if symbols.next().is_none() {
        return matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D').then_some(digit);
    }
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        "12" => Some('A'),
        "13" => Some('B'),
        "14" => Some('C'),
        "15" => Some('D'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_digit_is_read_in_both_forms() {
        let relay = info_digit("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n");
        assert_eq!(relay, Some(('5', Duration::from_millis(160))));
        let spaced = info_digit("Application/DTMF-Relay; x=1", b"Signal= *\nDuration= 250\n");
        assert_eq!(spaced, Some(('*', Duration::from_millis(250))));
        assert_eq!(
            info_digit("application/dtmf", b"#"),
            Some(('#', INFO_DIGIT))
        );
        for (number, digit) in [("10", '*'), ("11", '#'), ("12", 'A'), ("15", 'D')] {
            let plain = info_digit("application/dtmf", number.as_bytes());
            assert_eq!(plain, Some((digit, INFO_DIGIT)));
            let body = format!("signal = {number}\r\nDuration=250");
            let relay = info_digit("application/dtmf-relay", body.as_bytes());
            assert_eq!(relay, Some((digit, Duration::from_millis(250))));
        }
        assert_eq!(
            info_digit("application/dtmf", b"Signal=7\r\nDuration=80\r\n"),
            Some(('7', Duration::from_millis(80)))
        );
        for nothing in ["16", "17", "99", "010", "1 0", "", "*#"] {
            assert_eq!(info_digit("application/dtmf", nothing.as_bytes()), None);
        }
        assert_eq!(info_digit("text/plain", b"5"), None);
        assert_eq!(info_digit("application/dtmf-relay", &[0xff, 0xfe]), None);
    }
}
