//! The session timer (RFC 4028) of one dialog: how long a session lasts without a refresh, and who
//! refreshes it.

use std::time::{Duration, Instant};

use super::dialog_rules::DialogRules;
use super::lists::split_params;
use super::message::{Headers, Name, elements, header};

/// Min-SE where nothing is said, seconds (RFC 4028 section 5).
const USUAL_MINIMUM: u32 = 90;
/// What is left before the end of a session in which a refresh is still tried twice.
const WORTH_HALVING: Duration = Duration::from_secs(4);

/// Who refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// We do.
    Local,
    /// The peer does.
    Remote,
}

/// An agreed session timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// Seconds.
    pub interval: u32,
    /// Who refreshes.
    pub refresher: Refresher,
    /// When the session was last refreshed.
    refreshed: Instant,
    /// The peer knows nothing of it: we refresh to learn whether it is still there, and nothing
    /// ends by the clock.
    alone: bool,
    /// When to try again after a refused refresh.
    retry_at: Option<Instant>,
}

/// Value of a Session-Expires header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionExpires {
    /// Seconds.
    pub interval: u32,
    /// `uac` or `uas`, when said.
    pub refresher: Option<String>,
}

impl SessionExpires {
    /// Reads the header.
    pub fn read(headers: &Headers) -> Option<SessionExpires> {
        let (interval, params) = match header(headers, &Name::SESSION_EXPIRES)?.split_once(';') {
            Some((interval, params)) => (interval, params),
            None => (header(headers, &Name::SESSION_EXPIRES)?, ""),
        };
        let refresher = split_params(params)
            .into_iter()
            .find(|(name, _)| name == "refresher")
            .and_then(|(_, value)| value)
            .map(|value| value.to_ascii_lowercase());
        Some(SessionExpires {
            interval: interval.trim().parse().ok()?,
            refresher,
        })
    }
}

impl SessionTimer {
    /// What a 2xx to our request sets (section 7.2), from the interval that we asked for.
    pub fn of_response(
        headers: &Headers,
        asked: Option<u32>,
        rules: &DialogRules,
        now: Instant,
    ) -> Option<SessionTimer> {
        let agreed = SessionExpires::read(headers);
        let interval = agreed.as_ref().map(|agreed| agreed.interval).or(asked)?;
        let refresher = match agreed
            .as_ref()
            .and_then(|agreed| agreed.refresher.as_deref())
        {
            Some("uas") => Refresher::Remote,
            _ => Refresher::Local,
        };
        Some(SessionTimer {
            interval: interval.max(rules.min_session_expires),
            refresher,
            refreshed: now,
            alone: agreed.is_none(),
            retry_at: None,
        })
    }

    /// What we answer to a request that asks for a timer (section 9): the peer refreshes when it
    /// can, else we do. Where it does not ask we do, if we want one.
    pub fn of_request(
        headers: &Headers,
        rules: &DialogRules,
        now: Instant,
    ) -> Option<SessionTimer> {
        let ours = Some(rules.session_expires).filter(|seconds| *seconds > 0);
        let Some(asked) = SessionExpires::read(headers) else {
            return Some(SessionTimer {
                interval: ours?.max(rules.min_session_expires).max(minimum(headers)),
                refresher: Refresher::Local,
                refreshed: now,
                alone: !supports_timer(headers),
                retry_at: None,
            });
        };
        let refresher = match asked.refresher.as_deref() {
            Some("uas") => Refresher::Local,
            _ if supports_timer(headers) => Refresher::Remote,
            _ => Refresher::Local,
        };
        let least = rules.min_session_expires;
        // It may be made shorter, but not shorter than either side bears.
        let shorter = ours.map_or(asked.interval, |ours| ours.max(minimum(headers)));
        Some(SessionTimer {
            interval: asked.interval.min(shorter).max(least),
            refresher,
            refreshed: now,
            alone: false,
            retry_at: None,
        })
    }

    /// A request of either side has refreshed the session without speaking of the timer.
    pub fn refresh(&mut self, now: Instant) {
        self.refreshed = now;
        self.retry_at = None;
    }

    /// Session-Expires for a response of ours: the peer was the `uac` of that request.
    pub fn response_value(&self) -> String {
        let refresher = match self.refresher {
            Refresher::Local => "uas",
            Refresher::Remote => "uac",
        };
        format!("{};refresher={refresher}", self.interval)
    }

    /// Session-Expires for a request of ours.
    pub fn request_value(&self) -> String {
        let refresher = match self.refresher {
            Refresher::Local => "uac",
            Refresher::Remote => "uas",
        };
        format!("{};refresher={refresher}", self.interval)
    }

    /// When to refresh, when that is ours to do: after half the interval.
    pub fn refresh_at(&self) -> Option<Instant> {
        (self.refresher == Refresher::Local)
            .then(|| self.refreshed + Duration::from_secs(u64::from(self.interval / 2)))
            .map(|half| self.retry_at.unwrap_or(half))
    }

    /// When the session counts as lost: min(32 s, a third) before its end (section 10), where no
    /// refresh of the peer has come, or none of ours is answered at all. A peer that answers is
    /// there, whatever it says.
    pub fn lost_at(&self, refreshing: bool) -> Option<Instant> {
        let waits_in_vain = self.refresher == Refresher::Remote || refreshing;
        (waits_in_vain && !self.alone).then(|| self.expires_at())
    }

    fn expires_at(&self) -> Instant {
        let margin = 32.min(self.interval / 3);
        self.refreshed + Duration::from_secs(u64::from(self.interval - margin))
    }

    /// A refresh was refused: the next try is after `wait`, or half of what is left, while the end
    /// stays; past the end after half an interval.
    pub fn refused(&mut self, wait: Option<Duration>, now: Instant) {
        let left = self.expires_at().saturating_duration_since(now);
        let half = match left > WORTH_HALVING {
            true => left / 2,
            false => Duration::from_secs(u64::from(self.interval / 2).max(1)),
        };
        self.retry_at = Some(now + wait.unwrap_or(half));
    }
}

/// Min-SE of a message.
pub fn minimum(headers: &Headers) -> u32 {
    header(headers, &Name::MIN_SE)
        .and_then(|value| value.split(';').next()?.trim().parse().ok())
        .unwrap_or(USUAL_MINIMUM)
}

/// True when the peer lists `timer` in Supported.
pub fn supports_timer(headers: &Headers) -> bool {
    elements(headers, &Name::SUPPORTED)
        .iter()
        .any(|option| option.eq_ignore_ascii_case("timer"))
}
