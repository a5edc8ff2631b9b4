//! What all `[[trunk]]`s mean: for the SIP user agent, and for calls.

use std::collections::HashMap;
use std::time::Duration;

use super::{identity, latching, registered, trunk, unusable};
use crate::built_in;
use crate::call::{DigitsBy, Rules};
use crate::control::TrunkRules;
use crate::settings::{self, Collector, Error, Settings};
use crate::{media, sdp, sip};

/// Those that can be used.
pub(super) struct Trunks {
    /// For the SIP user agent.
    pub(super) sip: Vec<sip::Trunk>,
    /// For calls, by name; that of the built-in numbers among them.
    pub(super) rules: HashMap<String, TrunkRules>,
    /// The names of those with SRTP whose SIP is not encrypted.
    pub(super) shows_keys: Vec<String>,
}

impl Trunks {
    /// Keeps each error and goes on with the next trunk.
    pub(super) fn read(
        settings: &Settings,
        listen: Option<&[sip::Listen]>,
        browser: sdp::BrowserPolicy,
        found: &mut Collector,
    ) -> Self {
        let mut trunks = Trunks {
            sip: Vec::new(),
            rules: HashMap::new(),
            shows_keys: Vec::new(),
        };
        for (index, written) in settings.trunk.iter().enumerate() {
            let read = one(settings, index, &browser, found);
            let sip_trunk = found.keep(trunk::sip_trunk(index, written));
            if let Some(sip_trunk) = &sip_trunk
                && let Some(listen) = listen
            {
                found.keep(fits_listeners(index, written, sip_trunk, listen));
            }
            let (Some(sip_trunk), Some(rules)) = (sip_trunk, read) else {
                continue;
            };
            if trunk::shows_keys(written, &rules.rules.trunk) {
                trunks.shows_keys.push(written.name.clone());
            }
            trunks.rules.insert(written.name.clone(), rules);
            let accounts = settings
                .user
                .iter()
                .filter(|user| user.trunk.as_ref() == Some(&written.name))
                .map(|user| registered::account(user, written))
                .collect();
            trunks.sip.push(sip::Trunk {
                accounts,
                ..sip_trunk
            });
        }
        if settings.built_in.enabled {
            let of_built_in = TrunkRules {
                rules: call_rules(settings, browser, sdp::TrunkPolicy::default()),
                from_user: None,
                caller_id: Vec::new(),
                client_headers: Vec::new(),
                inband_digits: false,
                latching: media::Latching::default(),
            };
            trunks.rules.insert(built_in::TRUNK.to_owned(), of_built_in);
        }
        trunks
    }
}

/// What calls by one trunk go by.
fn one(
    settings: &Settings,
    index: usize,
    browser: &sdp::BrowserPolicy,
    found: &mut Collector,
) -> Option<TrunkRules> {
    let written = &settings.trunk[index];
    if written.name == built_in::TRUNK {
        let key = format!("trunk[{index}].name");
        found.push(unusable(key, &written.name, "a name of its own"));
    }
    let policy = found.keep(trunk::policy(index, written));
    let caller_id = found.keep(identity::caller_id(index, written));
    let client_headers = found.keep(identity::client_headers(index, written));
    let registered = registered::user(written).filter(|_| written.account.register);
    let from_user = written.account.from_user.clone();
    Some(TrunkRules {
        rules: Rules {
            delayed_offer: written.dialogs.delayed_offer,
            digits: trunk::digits(written),
            ..call_rules(settings, browser.clone(), policy?)
        },
        from_user: from_user.or(registered.map(str::to_owned)),
        caller_id: caller_id?,
        client_headers: client_headers?,
        inband_digits: written.digits.inband_digits,
        latching: latching::policy(written),
    })
}

/// Whether there is a listener for the transport of its targets.
fn fits_listeners(
    index: usize,
    written: &settings::Trunk,
    trunk: &sip::Trunk,
    listen: &[sip::Listen],
) -> Result<(), Error> {
    let secure = |target: &sip::TrunkTarget| {
        target
            .target
            .transport
            .is_some_and(sip::Transport::is_secure)
    };
    let listens = listen.iter().any(|listen| listen.transport.is_secure());
    if trunk.targets.iter().any(secure) && !listens {
        let key = format!("trunk[{index}].target");
        let expected = "a tls: listener in sip.listen beside it";
        return Err(unusable(key, &written.addressing.target, expected));
    }
    Ok(())
}

fn call_rules(settings: &Settings, browser: sdp::BrowserPolicy, trunk: sdp::TrunkPolicy) -> Rules {
    Rules {
        browser,
        trunk,
        ring_timeout: Duration::from_secs(settings.calls.ring_timeout),
        connect_timeout: Duration::from_secs(settings.calls.connect_timeout),
        // Until clients can take a call up again.
        detach_grace: Duration::ZERO,
        media_timeout: match settings.calls.media_timeout {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        },
        delayed_offer: false,
        digits: DigitsBy::Media,
    }
}
