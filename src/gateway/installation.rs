//! Which installation this is: what a gateway has that no other one has, and keeps.

use std::fs;

use crate::redacted::Redacted;
use crate::{settings, sip};

/// Where a machine says which one it is (machine-id(5)); the second is that of D-Bus alone.
const IDENTITIES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// `sip.instance`, or the machine's identity; nothing where it has none, as in many containers.
/// machine-id(5) asks that it is never shown, only hashed: whoever takes it does that.
pub(super) fn installation(settings: &settings::Sip) -> Option<Redacted<String>> {
    let machine = || {
        let texts = IDENTITIES
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok());
        texts.filter_map(|text| identity(&text)).next()
    };
    settings
        .instance
        .clone()
        .or_else(machine)
        .map(Redacted::new)
}

/// 32 hexadecimal digits; a machine that has not yet begun says "uninitialized".
fn identity(text: &str) -> Option<String> {
    let text = text.trim();
    let is_one = text.len() == 32
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b != b'0');
    is_one.then(|| text.to_ascii_lowercase())
}

/// True when a registration carries an instance.
pub(super) fn is_named(trunk: &sip::Trunk) -> bool {
    let accounts = trunk.accounts.iter().map(|account| &account.registration);
    let mut all = trunk.registration.iter().chain(accounts);
    all.any(|registration| registration.outbound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_identity_once_it_has_one() {
        let written = "0123456789abcdef0123456789ABCDEF\n";
        let read = identity(written);
        assert_eq!(read.as_deref(), Some("0123456789abcdef0123456789abcdef"));
        for none in [
            "",
            "uninitialized\n",
            "0",
            "00000000000000000000000000000000",
        ] {
            assert_eq!(identity(none), None, "{none}");
        }
    }

    #[test]
    fn the_configuration_goes_before_the_machine() {
        let settings = settings::Sip {
            instance: Some("gateway-1".to_owned()),
            ..settings::Sip::default()
        };
        let named = installation(&settings).expect("it is configured");
        assert_eq!(named.reveal(), "gateway-1");
    }
}
