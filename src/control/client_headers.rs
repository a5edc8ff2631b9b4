//! Headers that a client asks for on the INVITE of its call: those of the trunk's list, within
//! bounds.

use super::error::Error;

/// Most headers of one call.
const MOST_HEADERS: usize = 16;
/// Most bytes of one value, and of all names and values.
const LONGEST_VALUE: usize = 1_024;
const MOST_BYTES: usize = 4_096;

/// Gives the headers by the names of the list, or says which one cannot be.
pub(super) fn permitted(
    list: &[String],
    asked: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, Error> {
    if asked.len() > MOST_HEADERS {
        return Err(Error::TooManyHeaders {
            headers: MOST_HEADERS,
            bytes: MOST_BYTES,
        });
    }
    let mut bytes = 0;
    let mut permitted = Vec::with_capacity(asked.len());
    for (name, value) in asked {
        let shown = || name.chars().take(64).collect::<String>();
        let listed = list
            .iter()
            .find(|listed| listed.eq_ignore_ascii_case(&name))
            .ok_or_else(|| Error::HeaderNotAllowed(shown()))?;
        if value.len() > LONGEST_VALUE || value.chars().any(char::is_control) {
            return Err(Error::BadHeaderValue {
                name: shown(),
                bytes: LONGEST_VALUE,
            });
        }
        bytes += name.len() + value.len();
        if bytes > MOST_BYTES {
            return Err(Error::TooManyHeaders {
                headers: MOST_HEADERS,
                bytes: MOST_BYTES,
            });
        }
        permitted.push((listed.clone(), value));
    }
    Ok(permitted)
}

/// Of headers that were permitted for one trunk, those that another one's list has too.
pub(super) fn listed(list: &[String], asked: &[(String, String)]) -> Vec<(String, String)> {
    let named = |name: &str| list.iter().find(|listed| listed.eq_ignore_ascii_case(name));
    asked
        .iter()
        .filter_map(|(name, value)| Some((named(name)?.clone(), value.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Refusal;

    fn ask(headers: &[(&str, &str)]) -> Result<Vec<(String, String)>, &'static str> {
        let list = ["X-Account".to_owned(), "Diversion".to_owned()];
        let asked = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        permitted(&list, asked)
            .map_err(|error| error.refusal().map(Refusal::code).unwrap_or_default())
    }

    #[test]
    fn listed_headers_pass_by_the_name_of_the_list() {
        let passed = ask(&[("x-account", "7"), ("Diversion", "<sip:1@a>")]);
        let expected = [("X-Account", "7"), ("Diversion", "<sip:1@a>")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(passed, Ok(expected.to_vec()));
    }

    #[test]
    fn another_trunk_gets_what_its_own_list_has() {
        let asked = [("X-Account", "7"), ("diversion", "<sip:1@a>")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let passed = listed(&["Diversion".to_owned()], &asked);
        assert_eq!(passed, [("Diversion".to_owned(), "<sip:1@a>".to_owned())]);
        assert_eq!(listed(&[], &asked), []);
    }

    #[test]
    fn others_are_refused_and_so_is_what_could_become_another_header() {
        assert_eq!(ask(&[("X-Other", "7")]), Err("header-not-allowed"));
        assert_eq!(ask(&[("Via", "7")]), Err("header-not-allowed"));
        for value in ["7\r\nVia: x", "7\0", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(ask(&[("X-Account", value)]), Err("bad-header"), "{value:?}");
        }
    }

    #[test]
    fn headers_are_bounded_each_and_together() {
        let long = "x".repeat(LONGEST_VALUE);
        assert!(ask(&[("X-Account", &long)]).is_ok());
        assert_eq!(
            ask(&[("X-Account", &format!("{long}x"))]),
            Err("bad-header")
        );
        let four = [("X-Account", long.as_str()); 4];
        assert_eq!(ask(&four), Err("too-many-headers"));
        assert_eq!(ask(&[("X-Account", "1"); 17]), Err("too-many-headers"));
    }
}
