//! What one `[[trunk]]` says of callers and of the headers that pages see and set.

use super::{rewrite, unusable};
use crate::call::Rewrite;
use crate::settings::{self, Error};
use crate::sip::{
    ACCESS_NETWORK_INFO, CHARGING_VECTOR, Carriage, CarriedBy, IdentityPolicy, NetworkPolicy,
    RedirectPolicy, VISITED_NETWORK_ID, is_header_name, is_reserved,
};

/// Most headers of a list.
const MOST_HEADERS: usize = 16;
/// Most bytes of a value that is set.
const LONGEST_VALUE: usize = 1_024;

/// How the trunk speaks of callers.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<IdentityPolicy, Error> {
    let carried_by = match trunk.identity.as_str() {
        "from" => CarriedBy::From,
        "pai" => CarriedBy::Asserted,
        "ppi" => CarriedBy::Preferred,
        "associated" => CarriedBy::Associated,
        "rpid" => CarriedBy::RemoteParty,
        other => {
            let key = format!("trunk[{index}].identity");
            return Err(unusable(key, other, "from, pai, ppi, associated or rpid"));
        }
    };
    let key = format!("trunk[{index}].headers_to_client");
    Ok(IdentityPolicy {
        carried_by,
        trusted: trunk.trusted,
        passed_headers: headers(key, &trunk.headers_to_client)?,
        network: NetworkPolicy {
            access: carriage(index, trunk, ACCESS_NETWORK_INFO)?,
            visited: carriage(index, trunk, VISITED_NETWORK_ID)?,
            charging: carriage(index, trunk, CHARGING_VECTOR)?,
            called: super::registered::called(index, trunk)?,
        },
    })
}

/// What becomes of one header of the network. Who is not trusted is told nothing (RFC 7315
/// section 6), and a configuration that says else is a mistake.
fn carriage(index: usize, trunk: &settings::Trunk, header: &str) -> Result<Carriage, Error> {
    let (key, written) = match header {
        ACCESS_NETWORK_INFO => ("access_network_info", &trunk.access_network_info),
        VISITED_NETWORK_ID => ("visited_network_id", &trunk.visited_network_id),
        _ => ("charging_vector", &trunk.charging_vector),
    };
    let wrong = |expected: &str| Err(unusable(format!("trunk[{index}].{key}"), written, expected));
    let carriage = match written.as_str() {
        "remove" => return Ok(Carriage::Remove),
        "pass" => Carriage::Pass,
        value => Carriage::Set(value.to_owned()),
    };
    if !trunk.trusted {
        return wrong("\"remove\", or trusted = true beside it");
    }
    if written.trim().is_empty()
        || written.len() > LONGEST_VALUE
        || written.contains(|c: char| c.is_control())
    {
        return wrong("pass, remove, or the value to set on one line");
    }
    Ok(carriage)
}

/// What becomes of a 3xx.
pub(super) fn redirect(index: usize, trunk: &settings::Trunk) -> Result<RedirectPolicy, Error> {
    match trunk.redirect.as_str() {
        "pass" => Ok(RedirectPolicy::Pass),
        "follow" => Ok(RedirectPolicy::Follow),
        other => {
            let key = format!("trunk[{index}].redirect");
            Err(unusable(key, other, "pass or follow"))
        }
    }
}

/// Hosts as a Contact names them: names or IP addresses, without a port.
pub(super) fn redirect_hosts(index: usize, trunk: &settings::Trunk) -> Result<Vec<String>, Error> {
    let is_host = |host: &str| {
        host.parse::<std::net::IpAddr>().is_ok()
            || !host.is_empty()
                && host
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet))
    };
    match trunk.redirect_hosts.iter().find(|host| !is_host(host)) {
        Some(wrong) => {
            let key = format!("trunk[{index}].redirect_hosts");
            Err(unusable(
                key,
                wrong,
                "host names or IP addresses, without a port",
            ))
        }
        None => Ok(trunk.redirect_hosts.clone()),
    }
}

/// The headers that a page may set.
pub(super) fn page_headers(index: usize, trunk: &settings::Trunk) -> Result<Vec<String>, Error> {
    let key = format!("trunk[{index}].headers_from_client");
    let mut headers = headers(key, &trunk.headers_from_client)?;
    for header in [ACCESS_NETWORK_INFO, VISITED_NETWORK_ID, CHARGING_VECTOR] {
        if carriage(index, trunk, header)? == Carriage::Pass {
            headers.push(header.to_owned());
        }
    }
    Ok(headers)
}

/// The rewrites of our caller's number.
pub(super) fn caller_id(index: usize, trunk: &settings::Trunk) -> Result<Vec<Rewrite>, Error> {
    let key = |row: usize, key: &str| format!("trunk[{index}].caller_id[{row}].{key}");
    trunk
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
            .and_then(|_| page_headers(3, &trunk))
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
            let to_page = refused(|trunk| trunk.headers_to_client = vec![name.to_owned()]);
            assert!(to_page.contains("trunk[3].headers_to_client"), "{to_page}");
            let from_page = refused(|trunk| trunk.headers_from_client = vec![name.to_owned()]);
            assert!(
                from_page.contains("trunk[3].headers_from_client"),
                "{from_page}"
            );
        }
    }

    #[test]
    fn an_unknown_identity_and_a_bad_pattern_name_their_key() {
        let identity = refused(|trunk| trunk.identity = "pid".to_owned());
        assert!(identity.contains("trunk[3].identity"), "{identity}");
        let pattern = refused(|trunk| {
            trunk.caller_id = vec![settings::Renumbering {
                pattern: "(".to_owned(),
                to: String::new(),
            }];
        });
        assert!(pattern.contains("trunk[3].caller_id[0].match"), "{pattern}");
    }

    #[test]
    fn redirect_hosts_are_names_and_addresses_alone() {
        let hosts = |written: &[&str]| {
            let trunk = settings::Trunk {
                redirect_hosts: written.iter().map(|&host| host.to_owned()).collect(),
                ..settings::Trunk::default()
            };
            redirect_hosts(3, &trunk)
        };
        let usable = ["pbx.example", "edge_2.example", "192.0.2.7", "2001:db8::7"];
        assert_eq!(hosts(&usable).expect("usable"), usable);
        for wrong in [
            "",
            "192.0.2.7:5060",
            "sip:pbx.example",
            "a b",
            "*.example",
            "a\r\nb",
        ] {
            let error = hosts(&["pbx.example", wrong]).expect_err("unusable");
            let error = error.to_string();
            assert!(error.contains("trunk[3].redirect_hosts"), "{error}");
        }
    }

    #[test]
    fn networks_are_told_to_trusted_trunks_only_and_pages_may_say_what_is_passed() {
        for value in ["pass", "icid-generated-at=192.0.2.1"] {
            let untrusted = refused(|trunk| trunk.charging_vector = value.to_owned());
            assert!(
                untrusted.contains("trunk[3].charging_vector") && untrusted.contains("trusted"),
                "{untrusted}"
            );
        }
        for value in ["", "a\r\nVia: x"] {
            let bad = refused(|trunk| {
                trunk.trusted = true;
                trunk.visited_network_id = value.to_owned();
            });
            assert!(bad.contains("trunk[3].visited_network_id"), "{bad}");
        }
        let trunk = settings::Trunk {
            trusted: true,
            access_network_info: "pass".to_owned(),
            visited_network_id: "\"Visited 1\"".to_owned(),
            ..settings::Trunk::default()
        };
        let network = policy(0, &trunk).expect("usable").network;
        assert_eq!(network.access, Carriage::Pass);
        assert_eq!(network.visited, Carriage::Set("\"Visited 1\"".to_owned()));
        assert_eq!(network.charging, Carriage::Remove);
        assert_eq!(
            page_headers(0, &trunk).expect("usable"),
            ["P-Access-Network-Info"]
        );
    }

    #[test]
    fn ordinary_headers_may_be_listed() {
        let trunk = settings::Trunk {
            identity: "pai".to_owned(),
            trusted: true,
            headers_to_client: vec!["X-Account".to_owned(), "Subject".to_owned()],
            headers_from_client: vec!["Diversion".to_owned()],
            ..settings::Trunk::default()
        };
        let policy = policy(0, &trunk).expect("usable");
        assert_eq!(policy.carried_by, CarriedBy::Asserted);
        assert!(policy.trusted);
        assert_eq!(policy.passed_headers, ["X-Account", "Subject"]);
        assert_eq!(page_headers(0, &trunk).expect("usable"), ["Diversion"]);
    }
}
