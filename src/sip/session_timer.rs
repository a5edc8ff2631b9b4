//! The session timer (RFC 4028) of one dialog, minimal: what the peer asks for is honoured, nothing
//! is asked for by us.

use std::time::{Duration, Instant};

use super::message::{Headers, Name, elements, header};

/// Shortest interval we agree to, seconds (RFC 4028 section 4).
pub const SHORTEST: u32 = 90;

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
        let refresher = super::address::split_params(params)
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
    /// What a 2xx to our INVITE or UPDATE sets (section 7.2): without the header there is none.
    pub fn of_response(headers: &Headers, now: Instant) -> Option<SessionTimer> {
        let agreed = SessionExpires::read(headers)?;
        let refresher = match agreed.refresher.as_deref() {
            Some("uas") => Refresher::Remote,
            _ => Refresher::Local,
        };
        Some(SessionTimer {
            interval: agreed.interval.max(SHORTEST),
            refresher,
            refreshed: now,
            retry_at: None,
        })
    }

    /// What we answer to a request that asks for a timer (section 9): the peer refreshes when it
    /// can, else we do.
    pub fn of_request(headers: &Headers, now: Instant) -> Option<SessionTimer> {
        let asked = SessionExpires::read(headers)?;
        let peer_can = supports_timer(headers);
        let refresher = match asked.refresher.as_deref() {
            Some("uas") => Refresher::Local,
            _ if peer_can => Refresher::Remote,
            _ => Refresher::Local,
        };
        Some(SessionTimer {
            interval: asked.interval.max(SHORTEST),
            refresher,
            refreshed: now,
            retry_at: None,
        })
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

    /// When the session counts as lost: min(32 s, a third) before its end (section 10).
    pub fn expires_at(&self) -> Instant {
        let margin = 32.min(self.interval / 3);
        self.refreshed + Duration::from_secs(u64::from(self.interval - margin))
    }

    /// A refresh was refused: the next try is half of what is left, while the end stays.
    pub fn refused(&mut self, now: Instant) {
        let left = self.expires_at().saturating_duration_since(now);
        self.retry_at = Some(now + left / 2);
    }
}

/// True when the peer lists `timer` in Supported.
pub fn supports_timer(headers: &Headers) -> bool {
    elements(headers, &Name::SUPPORTED)
        .iter()
        .any(|option| option.eq_ignore_ascii_case("timer"))
}
