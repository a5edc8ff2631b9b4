//! Environment variables that look like keys of the configuration and are not read as such.

use std::collections::BTreeMap;

use super::Settings;
use super::error::{Origin, Problem};
use super::source::{Node, PREFIX, SEPARATOR, Value};
use super::tables::{ARRAYS, TABLES};

/// Variables with one underscore where the parts of a key are joined by two, each with the name
/// that is meant: `TRUNKLINE_HTTP_LISTEN` and `TRUNKLINE_HTTP__LISTEN`. Only those that then name a
/// key that exists: others may be of another program.
pub fn misnamed_variables(
    names: impl Iterator<Item = String>,
) -> impl Iterator<Item = (String, String)> {
    names.filter_map(|name| {
        let meant = meant(name.strip_prefix(PREFIX)?)?;
        Some((name, meant))
    })
}

fn meant(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if lower.contains(SEPARATOR) || TABLES.contains(&lower.as_str()) {
        return None;
    }
    let below = |table: &&&str| {
        lower
            .strip_prefix(**table)?
            .strip_prefix('_')
            .map(str::to_owned)
    };
    let table = TABLES.iter().find(|table| below(table).is_some())?;
    let rest = below(&table)?;
    let parts = match ARRAYS.contains(table) {
        true => {
            let (number, key) = rest.split_once('_')?;
            number.parse::<usize>().ok()?;
            has_key(table, true, key).then(|| [*table, number, key].join(SEPARATOR))
        }
        false => has_key(table, false, &rest).then(|| [*table, rest.as_str()].join(SEPARATOR)),
    }?;
    Some(format!("{PREFIX}{}", parts.to_ascii_uppercase()))
}

/// Whether the table has such a key, by what a reader of that key says.
fn has_key(table: &str, is_array: bool, key: &str) -> bool {
    let node = |path: String, value: Value| Node {
        path,
        origin: Origin::Unknown,
        value,
    };
    let path = format!("{table}.{key}");
    let entry = node(path, Value::Variable(String::new()));
    let entries = Value::Table(BTreeMap::from([(key.to_owned(), entry)]));
    let value = match is_array {
        true => Value::List(vec![node(table.to_owned(), entries)]),
        false => entries,
    };
    let whole = BTreeMap::from([(table.to_owned(), node(table.to_owned(), value))]);
    let read = node(String::new(), Value::Table(whole)).typed::<Settings>();
    !matches!(read, Err(error) if matches!(error.problem, Problem::UnknownKey { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_with_one_underscore_is_told_with_the_right_name() {
        for (written, right) in [
            ("TRUNKLINE_HTTP_LISTEN", "TRUNKLINE_HTTP__LISTEN"),
            ("TRUNKLINE_SIGN_IN_JWT_KEY", "TRUNKLINE_SIGN_IN__JWT_KEY"),
            ("TRUNKLINE_BUILT_IN_ENABLED", "TRUNKLINE_BUILT_IN__ENABLED"),
            ("TRUNKLINE_MEDIA_RTP_PORTS", "TRUNKLINE_MEDIA__RTP_PORTS"),
            (
                "TRUNKLINE_WEBRTC_ICE_SERVERS",
                "TRUNKLINE_WEBRTC__ICE_SERVERS",
            ),
            ("TRUNKLINE_TRUNK_0_PASSWORD", "TRUNKLINE_TRUNK__0__PASSWORD"),
            (
                "TRUNKLINE_USER_12_TRUNK_PASSWORD",
                "TRUNKLINE_USER__12__TRUNK_PASSWORD",
            ),
        ] {
            let told: Vec<_> = misnamed_variables([written.to_owned()].into_iter()).collect();
            assert_eq!(told, [(written.to_owned(), right.to_owned())]);
        }
    }

    #[test]
    fn variable_that_is_right_or_of_another_program_is_not_told() {
        for name in [
            "TRUNKLINE_HTTP__LISTEN",
            "TRUNKLINE_SIGN_IN",
            "TRUNKLINE_USER",
            "TRUNKLINE_DEBIAN_MIRROR",
            "TRUNKLINE_DOCKER_RUN",
            "TRUNKLINE_LOG_DIRECTORY",
            "TRUNKLINE_HTTP_",
            "TRUNKLINE_TRUNK_PASSWORD",
            "TRUNKLINE_TRUNK_0_COLOUR",
            "TRUNKLINE_",
            "HTTP_LISTEN",
            "PATH",
        ] {
            let told: Vec<_> = misnamed_variables([name.to_owned()].into_iter()).collect();
            assert_eq!(told, [], "{name}");
        }
    }
}
