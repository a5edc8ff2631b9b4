//! Mistakes that many make in TOML, and what to write instead.

use super::error::{Error, Origin};
use super::tables::{ARRAYS, TABLES};

/// For a string in double quotes that is meant as it is.
const BACKSLASH: &str = "in double quotes a backslash begins an escape: write the value in single \
                         quotes, as '\\d+', or each backslash twice";

/// Keys that have another name since: the array's name for its elements, and what the table calls
/// the new one.
const RENAMED: [(&str, &str); 28] = [
    ("calls.max_per_socket", "max_per_connection"),
    ("sip.ca", "tls.ca"),
    ("sip.certificate", "tls.certificate"),
    ("sip.certificate_key", "tls.certificate_key"),
    ("sip.client_ca", "tls.client_ca"),
    ("sip.strangers", "unknown_sources"),
    ("trunk.aka_amf", "aka.amf"),
    ("trunk.aka_key", "aka.key"),
    ("trunk.aka_op", "aka.op"),
    ("trunk.aka_opc", "aka.opc"),
    ("trunk.contact_user", "registration.contact_user"),
    ("trunk.headers_from_page", "headers_from_client"),
    ("trunk.headers_to_page", "headers_to_client"),
    ("trunk.inbound_password", "inbound_auth.password"),
    ("trunk.inbound_username", "inbound_auth.username"),
    ("trunk.offer_by", "session_modification"),
    ("trunk.register_expires", "registration.expires"),
    ("trunk.register_outbound", "registration.outbound"),
    ("trunk.rtp_address", "rtp.address"),
    ("trunk.rtp_advertise", "rtp.advertise"),
    ("trunk.rtp_heard_after", "rtp.heard_after"),
    ("trunk.rtp_latch_after", "rtp.latch_after"),
    ("trunk.rtp_sources", "rtp.sources"),
    ("trunk.symmetric_rtp", "rtp.symmetric"),
    ("trunk.tls_certificate", "tls.certificate"),
    ("trunk.tls_certificate_key", "tls.certificate_key"),
    ("trunk.tls_name", "tls.name"),
    ("trunk.tls_verify", "tls.verify"),
];

/// What the key with this path is called now in its table, if its name has changed.
pub(super) fn renamed(path: &str) -> Option<&'static str> {
    let name = without_indices(path);
    let found = RENAMED.iter().find(|(old, _)| *old == name);
    found.map(|(_, new)| *new)
}

/// `trunk.targets` for `trunk[0].targets`.
fn without_indices(path: &str) -> String {
    let mut outside = true;
    path.chars()
        .filter(|c| {
            let is_name = outside && *c != '[';
            outside = *c == ']' || is_name;
            is_name
        })
        .collect()
}

/// The errors of a text that is not TOML.
pub(super) fn not_toml(file: &str, text: &str, errors: Vec<toml::de::Error>) -> Vec<Error> {
    let lines: Vec<&str> = text.lines().collect();
    let mut told: Vec<Error> = Vec::new();
    // The last header that stands twice: its keys do as well.
    let mut repeated = None;
    for error in errors {
        let line = error
            .span()
            .map(|span| super::lines::line_of(text, span.start));
        let written = line.and_then(|line| lines.get(line - 1)).copied();
        let message = error.message();
        let why = match (written, line) {
            (Some(written), _) if is_escape(message) && written.contains('\\') => {
                BACKSLASH.to_owned()
            }
            (Some(written), Some(line)) if message.starts_with("duplicate key") => {
                let header = (1..=line).rev().find(|at| is_header(lines[at - 1]));
                if header != Some(line) && header.is_some() && header == repeated {
                    continue;
                }
                if is_header(written) {
                    repeated = Some(line);
                }
                let key = error.span().and_then(|span| text.get(span));
                duplicate(written, key.unwrap_or_default())
            }
            _ => message.to_owned(),
        };
        let origin = match line {
            Some(line) => Origin::Line(file.to_owned(), line),
            None => Origin::File(file.to_owned()),
        };
        let error = Error::unreadable(origin, &format!("not TOML: {why}"));
        if !told.contains(&error) {
            told.push(error);
        }
    }
    told
}

fn is_escape(message: &str) -> bool {
    message.starts_with("missing escaped value") || message.contains("unicode")
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

/// A table or key that stands twice.
fn duplicate(line: &str, key: &str) -> String {
    if !is_header(line) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        return match !key.is_empty() && key.chars().all(is_name) {
            true => format!("duplicate key: {key} stands twice in this table"),
            false => "duplicate key".to_owned(),
        };
    }
    let header = line.split(['#', ']']).next().unwrap_or_default();
    let name = header.trim().trim_start_matches('[').trim();
    match array(name) {
        Some(name) => format!(
            "duplicate key: [{name}] stands twice: {}",
            in_two_brackets(&name)
        ),
        None => format!("duplicate key: [{name}] stands twice"),
    }
}

/// The name under which an array of tables is written, `trunk.targets` for `trunk[0].targets`.
fn array(path: &str) -> Option<String> {
    let name = without_indices(path);
    let nested = ["webrtc.ice_servers", "trunk.targets", "trunk.caller_id"];
    // An element of the array is no array.
    let is_element = path.ends_with(']');
    let known = ARRAYS.contains(&name.as_str()) || nested.contains(&name.as_str());
    (known && !is_element).then_some(name)
}

fn in_two_brackets(name: &str) -> String {
    format!("write [[{name}]] in two brackets, once for each")
}

/// What is expected instead of a table, where tables of that name stand in a list.
pub(super) fn instead_of_table(path: &str) -> Option<String> {
    let name = array(path)?;
    Some(format!("a list of tables: {}", in_two_brackets(&name)))
}

/// What is expected instead of a list, where a table of that name stands once.
pub(super) fn instead_of_list(path: &str) -> Option<String> {
    let once = TABLES.contains(&path) && !ARRAYS.contains(&path);
    once.then(|| format!("a table: [{path}] in one bracket, once"))
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::source::Node;

    /// The errors of a text, as lines.
    fn errors(text: &str) -> Vec<String> {
        let read = Node::read("FILE", text).and_then(|tree| {
            let settings = tree.typed::<Settings>();
            settings.map(|_| ()).map_err(|error| vec![error])
        });
        let errors = read.expect_err(text);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn backslash_in_double_quotes_names_single_quotes_once_a_line() {
        for pattern in [r"\d+", r"a\.b", r"\s\+\d", r"\u12", r"\x4", r"+49\(0\)"] {
            let text = format!("[[route]]\nmatch = \"{pattern}\"\n[log]\nformat = \"\\w\"\n");
            let told = errors(&text);
            assert_eq!(told.len(), 2, "{told:?}");
            for (line, start) in told
                .iter()
                .zip(["FILE:2: not TOML: ", "FILE:4: not TOML: "])
            {
                assert!(line.starts_with(start), "{line}");
                assert!(line.contains("in single quotes"), "{line}");
            }
        }
        let other = errors("[http]\nlisten = 'a\n");
        assert!(!other[0].contains("backslash"), "{other:?}");
    }

    #[test]
    fn renamed_key_is_refused_with_its_new_name() {
        for (text, told) in [
            (
                "[sip]\nstrangers = 'drop'\n",
                "FILE:2: sip.strangers: unknown key, expected sip.unknown_sources",
            ),
            (
                "[calls]\nmax_per_socket = 8\n",
                "FILE:2: calls.max_per_socket: unknown key, expected calls.max_per_connection",
            ),
            (
                "[[trunk]]\nname = 'a'\noffer_by = 'update'\n",
                "FILE:3: trunk[0].offer_by: unknown key, expected trunk[0].session_modification",
            ),
            (
                "[[trunk]]\nheaders_to_page = []\n",
                "FILE:2: trunk[0].headers_to_page: unknown key, expected \
                 trunk[0].headers_to_client",
            ),
            (
                "[[trunk]]\nheaders_from_page = []\n",
                "FILE:2: trunk[0].headers_from_page: unknown key, expected \
                 trunk[0].headers_from_client",
            ),
            (
                "[sip]\nclient_ca = 'ca.pem'\n",
                "FILE:2: sip.client_ca: unknown key, expected sip.tls.client_ca",
            ),
            (
                "[[trunk]]\nrtp_sources = 'any'\n",
                "FILE:2: trunk[0].rtp_sources: unknown key, expected trunk[0].rtp.sources",
            ),
        ] {
            assert_eq!(errors(text)[0], told);
        }
    }

    #[test]
    fn renamed_key_leads_to_a_key_that_exists() {
        for (old, new) in super::RENAMED {
            let (table, _) = old.split_once('.').expect("a key of a table");
            let mut parts: Vec<&str> = vec![table];
            if super::ARRAYS.contains(&table) {
                parts.push("0");
            }
            parts.extend(new.split('.'));
            let inner = parts[1..]
                .iter()
                .rev()
                .fold("[]".to_owned(), |text, part| match *part {
                    "0" => format!("[{text}]"),
                    key => format!("{{ {key} = {text} }}"),
                });
            let text = format!("{table} = {inner}");
            let read = Node::read("FILE", &text).expect(&text).typed::<Settings>();
            let known = !read.is_err_and(|error| error.to_string().contains("unknown key"));
            assert!(known, "{new} in {text}");
        }
    }

    #[test]
    fn table_that_may_stand_several_times_names_two_brackets() {
        for (text, line, name) in [
            ("[user]\nname = 'a'\n", "FILE:1: user: ", "[[user]]"),
            ("\n[route]\nmatch = 'a'\n", "FILE:2: route: ", "[[route]]"),
            (
                "[inbound]\nmatch = 'a'\n",
                "FILE:1: inbound: ",
                "[[inbound]]",
            ),
            ("trunk = { name = 'a' }\n", "FILE:1: trunk: ", "[[trunk]]"),
            (
                "[webrtc.ice_servers]\nurls = []\n",
                "FILE:1: webrtc.ice_servers: ",
                "[[webrtc.ice_servers]]",
            ),
            (
                "[[trunk]]\nname = 'a'\n[trunk.targets]\ntarget = 'sip:b'\n",
                "FILE:3: trunk[0].targets: ",
                "[[trunk.targets]]",
            ),
        ] {
            let told = errors(text);
            let hint = format!("a list of tables: write {name} in two brackets, once for each");
            assert!(
                told[0].starts_with(line) && told[0].contains(&hint),
                "{told:?}"
            );
        }
    }

    #[test]
    fn table_written_twice_in_one_bracket_is_one_error() {
        for text in [
            "[user]\nname = 'a'\n[user] # b\nname = 'b'\npassword = 'p'\n",
            "[[user]]\nname = 'a'\n[user]\nname = 'b'\n",
            "[user]\nname = 'a'\n[[user]]\nname = 'b'\n",
        ] {
            let told = errors(text);
            assert_eq!(told.len(), 1, "{told:?}");
            let start = "FILE:3: not TOML: duplicate key: [user] stands twice: write [[user]]";
            assert!(told[0].starts_with(start), "{told:?}");
        }
        let told = errors("[http]\nlisten = 'a'\nlisten = 'b'\n");
        let only = "FILE:3: not TOML: duplicate key: listen stands twice in this table";
        assert_eq!(told, [only]);
        let told = errors("[http]\n[log]\n[http]\n");
        assert_eq!(
            told,
            ["FILE:3: not TOML: duplicate key: [http] stands twice"]
        );
    }

    #[test]
    fn table_that_stands_once_names_one_bracket() {
        for table in ["http", "sip", "sign_in", "built_in"] {
            let told = errors(&format!("[[{table}]]\n"));
            let hint = format!("expected a table: [{table}] in one bracket, once");
            assert!(told[0].contains(&hint), "{told:?}");
        }
    }

    #[test]
    fn port_beyond_its_range_is_told_with_the_range() {
        let told = errors("[webrtc]\nport = 70000\n");
        let number =
            "FILE:2: webrtc.port: 70000 is not usable, expected a whole number from 0 to 65535";
        assert_eq!(told, [number]);
        for (address, beyond) in [
            ("127.0.0.1:65536", true),
            ("[::1]:99999", true),
            ("127.0.0.1:123456789012345678901", true),
            ("127.0.0.1", false),
            ("localhost:8080", false),
        ] {
            let told = errors(&format!("[http]\nlisten = '{address}'\n"));
            assert!(told[0].starts_with("FILE:2: http.listen: "), "{told:?}");
            assert_eq!(
                told[0].contains("a PORT from 0 to 65535"),
                beyond,
                "{told:?}"
            );
        }
    }
}
