//! What one `[[trunk]]` says of callers and of the headers that pages see and set.

use super::{rewrite, unusable};
use crate::control::Rewrite;
use crate::settings::{self, Error};
use crate::sip::{
    ACCESS_NETWORK_INFO, CHARGING_VECTOR, Carriage, CarriedBy, IdentityPolicy, NetworkPolicy,
    VISITED_NETWORK_ID, is_header_name, is_reserved,
};

/// Most headers of a list.
const MOST_HEADERS: usize = 16;

/// How the trunk speaks of callers.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<IdentityPolicy, Error> {
    let carried_by = match trunk.callers.identity {
        settings::CallerHeader::From => CarriedBy::From,
        settings::CallerHeader::Pai => CarriedBy::Asserted,
        settings::CallerHeader::Ppi => CarriedBy::Preferred,
        settings::CallerHeader::Associated => CarriedBy::Associated,
        settings::CallerHeader::Rpid => CarriedBy::RemoteParty,
    };
    let key = format!("trunk[{index}].headers_to_client");
    Ok(IdentityPolicy {
        carried_by,
        trusted: trunk.callers.trusted,
        passed_headers: headers(key, &trunk.callers.headers_to_client)?,
        network: NetworkPolicy {
            access: carriage(&trunk.callers.access_network_info),
            visited: carriage(&trunk.callers.visited_network_id),
            charging: carriage(&trunk.callers.charging_vector),
            called: super::registered::called(trunk),
        },
    })
}

/// What becomes of one header of the network.
fn carriage(written: &str) -> Carriage {
    match written {
        "remove" => Carriage::Remove,
        "pass" => Carriage::Pass,
        value => Carriage::Set(value.to_owned()),
    }
}

/// The headers that a page may set.
pub(super) fn client_headers(index: usize, trunk: &settings::Trunk) -> Result<Vec<String>, Error> {
    let key = format!("trunk[{index}].headers_from_client");
    let mut headers = headers(key, &trunk.callers.headers_from_client)?;
    for (header, written) in [
        (ACCESS_NETWORK_INFO, &trunk.callers.access_network_info),
        (VISITED_NETWORK_ID, &trunk.callers.visited_network_id),
        (CHARGING_VECTOR, &trunk.callers.charging_vector),
    ] {
        if carriage(written) == Carriage::Pass {
            headers.push(header.to_owned());
        }
    }
    Ok(headers)
}

/// The rewrites of our caller's number.
pub(super) fn caller_id(index: usize, trunk: &settings::Trunk) -> Result<Vec<Rewrite>, Error> {
    let key = |row: usize, key: &str| format!("trunk[{index}].caller_id[{row}].{key}");
    trunk
        .callers
        .caller_id
        .iter()
        .enumerate()
        .map(|(row, written)| {
            rewrite(
                (key(row, "match"), &written.pattern),
                (key(row, "to"), &written.to),
            )
        })
        .collect()
}

fn headers(key: String, names: &[String]) -> Result<Vec<String>, Error> {
    if names.len() > MOST_HEADERS {
        let expected = format!("at most {MOST_HEADERS} headers");
        return Err(unusable(key, &names.join(", "), &expected));
    }
    for name in names {
        if !is_header_name(name) || is_reserved(name) {
            let expected = "a header by its long name, none that SIP itself or the caller's \
                            identity lives by (Via, From, Contact, P-Asserted-Identity, ...)";
            return Err(unusable(key, name, expected));
        }
    }
    Ok(names.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut settings::Trunk)) -> String {
        let mut trunk = settings::Trunk::default();
        change(&mut trunk);
        let outcome = policy(3, &trunk)
            .and_then(|_| client_headers(3, &trunk))
            .and_then(|_| caller_id(3, &trunk));
        outcome.expect_err("it cannot be meant").to_string()
    }

    #[test]
    fn headers_that_calls_or_identities_live_by_are_a_configuration_error() {
        for name in [
            "Via",
            "from",
            "Call-ID",
            "v",
            "content-type",
            "Content-Length",
            "Route",
            "Authorization",
            "P-Asserted-Identity",
            "p-preferred-identity",
            "Remote-Party-ID",
            "Privacy",
            "P-Access-Network-Info",
            "p-visited-network-id",
            "P-Charging-Vector",
            "P-Charging-Function-Addresses",
            "Replaces",
            "",
            "a b",
            "X:",
        ] {
            let to_page = refused(|trunk| trunk.callers.headers_to_client = vec![name.to_owned()]);
            assert!(to_page.contains("trunk[3].headers_to_client"), "{to_page}");
            let from_page =
                refused(|trunk| trunk.callers.headers_from_client = vec![name.to_owned()]);
            assert!(
                from_page.contains("trunk[3].headers_from_client"),
                "{from_page}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_names_its_key() {
        let pattern = refused(|trunk| {
            trunk.callers.caller_id = vec![settings::Renumbering {
                pattern: "(".to_owned(),
                to: String::new(),
            }];
        });
        assert!(pattern.contains("trunk[3].caller_id[0].match"), "{pattern}");
    }

    #[test]
    fn network_headers_follow_the_trunk_and_pages_set_what_passes() {
        let mut trunk = settings::Trunk::default();
        trunk.callers.trusted = true;
        trunk.callers.access_network_info = "pass".to_owned();
        trunk.callers.visited_network_id = "\"Visited 1\"".to_owned();
        let network = policy(0, &trunk).expect("usable").network;
        assert_eq!(network.access, Carriage::Pass);
        assert_eq!(network.visited, Carriage::Set("\"Visited 1\"".to_owned()));
        assert_eq!(network.charging, Carriage::Remove);
        assert_eq!(
            client_headers(0, &trunk).expect("usable"),
            ["P-Access-Network-Info"]
        );
    }

    #[test]
    fn ordinary_headers_may_be_listed() {
        let mut trunk = settings::Trunk::default();
        trunk.callers.identity = settings::CallerHeader::Pai;
        trunk.callers.trusted = true;
        trunk.callers.headers_to_client = vec!["X-Account".to_owned(), "Subject".to_owned()];
        trunk.callers.headers_from_client = vec!["Diversion".to_owned()];
        let policy = policy(0, &trunk).expect("usable");
        assert_eq!(policy.carried_by, CarriedBy::Asserted);
        assert!(policy.trusted);
        assert_eq!(policy.passed_headers, ["X-Account", "Subject"]);
        assert_eq!(client_headers(0, &trunk).expect("usable"), ["Diversion"]);
    }
}
