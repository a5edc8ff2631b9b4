//! `[[trunk]]`: DTMF.

use serde::{Deserialize, Serialize};

use crate::settings::error::{Collector, Error};
use crate::settings::rules::Key;

/// Keys of `[[trunk]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkDigits {
    /// Offer RFC 4733 digits.
    pub telephone_event: bool,
    /// The clocks of those digits, hertz: 8000, 48000 (beside Opus only) or both.
    pub telephone_event_clocks: Vec<u32>,
    /// How the digits that a client asks for reach the PBX.
    pub dtmf: Dtmf,
    /// Listen for digits in the audio of the PBX.
    pub inband_digits: bool,
}

/// `dtmf`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dtmf {
    /// Telephone events.
    #[default]
    Rfc4733,
    /// Tones in the audio.
    Inband,
    /// INFO with `application/dtmf-relay`.
    InfoRelay,
    /// INFO with `application/dtmf`.
    Info,
}

impl Default for TrunkDigits {
    fn default() -> Self {
        TrunkDigits {
            telephone_event: true,
            telephone_event_clocks: vec![8_000],
            dtmf: Dtmf::default(),
            inband_digits: false,
        }
    }
}

impl TrunkDigits {
    pub(super) fn check(&self, key: Key<'_>, found: &mut Collector) {
        let clocks = &self.telephone_event_clocks;
        let usable = |clock: &u32| [8_000, 48_000].contains(clock);
        if clocks.is_empty() || !clocks.iter().all(usable) {
            let written = format!("{clocks:?}");
            let expected = "8000, 48000 or both, in a list";
            found.push(Error::value(
                key("telephone_event_clocks"),
                &written,
                expected,
            ));
        }
    }
}
