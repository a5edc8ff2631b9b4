//! What one `[[trunk]]` says of callers and of the headers that pages see and set.

use super::unusable;
use crate::call::Rewrite;
use crate::settings::{self, Error};
use crate::sip::{CarriedBy, IdentityPolicy, RedirectPolicy, is_header_name, is_reserved};

/// Most headers of a list.
const MOST_HEADERS: usize = 16;

/// How the trunk speaks of callers.
pub(super) fn policy(index: usize, trunk: &settings::Trunk) -> Result<IdentityPolicy, Error> {
    let carried_by = match trunk.identity.as_str() {
        "from" => CarriedBy::From,
        "pai" => CarriedBy::Asserted,
        "ppi" => CarriedBy::Preferred,
        "rpid" => CarriedBy::RemoteParty,
        other => {
            let key = format!("trunk[{index}].identity");
            return Err(unusable(key, other, "from, pai, ppi or rpid"));
        }
    };
    let key = format!("trunk[{index}].headers_to_page");
    Ok(IdentityPolicy {
        carried_by,
        trusted: trunk.trusted,
        passed_headers: headers(key, &trunk.headers_to_page)?,
    })
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

/// The headers that a page may set.
pub(super) fn page_headers(index: usize, trunk: &settings::Trunk) -> Result<Vec<String>, Error> {
    let key = format!("trunk[{index}].headers_from_page");
    headers(key, &trunk.headers_from_page)
}

/// The rewrites of our caller's number.
pub(super) fn caller_id(index: usize, trunk: &settings::Trunk) -> Result<Vec<Rewrite>, Error> {
    let key = |row: usize| format!("trunk[{index}].caller_id[{row}].match");
    trunk
        .caller_id
        .iter()
        .enumerate()
        .map(|(row, rewrite)| {
            Rewrite::new(&rewrite.pattern, &rewrite.to).map_err(|error| {
                let expected = format!("a regular expression ({error})");
                unusable(key(row), &rewrite.pattern, &expected)
            })
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
            "Replaces",
            "",
            "a b",
            "X:",
        ] {
            let to_page = refused(|trunk| trunk.headers_to_page = vec![name.to_owned()]);
            assert!(to_page.contains("trunk[3].headers_to_page"), "{to_page}");
            let from_page = refused(|trunk| trunk.headers_from_page = vec![name.to_owned()]);
            assert!(
                from_page.contains("trunk[3].headers_from_page"),
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
    fn ordinary_headers_may_be_listed() {
        let trunk = settings::Trunk {
            identity: "pai".to_owned(),
            trusted: true,
            headers_to_page: vec!["X-Account".to_owned(), "Subject".to_owned()],
            headers_from_page: vec!["Diversion".to_owned()],
            ..settings::Trunk::default()
        };
        let policy = policy(0, &trunk).expect("usable");
        assert_eq!(policy.carried_by, CarriedBy::Asserted);
        assert!(policy.trusted);
        assert_eq!(policy.passed_headers, ["X-Account", "Subject"]);
        assert_eq!(page_headers(0, &trunk).expect("usable"), ["Diversion"]);
    }
}
