//! The house rules that a compiler does not know: who may import whom, how long a file may be,
//! that each file says what it is, that `mod.rs` is a face.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, lines.
const LONGEST: usize = 600;

/// What each folder (or file at the top) may import from the crate. `gateway` and `main` may
/// import everything; vocabulary imports nothing.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("codec", &[]),
    ("dscp", &[]),
    ("redacted", &[]),
    ("supervision", &[]),
    ("display_name", &[]),
    ("token_bucket", &[]),
    ("guest", &["display_name"]),
    ("rtp", &["codec"]),
    ("audio", &["codec"]),
    ("protection", &["redacted"]),
    ("sdp", &["codec", "redacted", "protection"]),
    ("srtp", &["protection"]),
    (
        "peer",
        &[
            "sdp",
            "srtp",
            "codec",
            "redacted",
            "protection",
            "token_bucket",
        ],
    ),
    (
        "sip",
        &[
            "codec",
            "display_name",
            "dscp",
            "redacted",
            "supervision",
            "token_bucket",
        ],
    ),
    (
        "media",
        &[
            "rtp",
            "audio",
            "srtp",
            "codec",
            "dscp",
            "redacted",
            "protection",
            "supervision",
        ],
    ),
    (
        "call",
        &[
            "sdp",
            "codec",
            "redacted",
            "protection",
            "guest",
            "peer",
            "media",
            "sip",
            "supervision",
        ],
    ),
    (
        "signaling",
        &["call", "display_name", "redacted", "guest", "token_bucket"],
    ),
    (
        "agent",
        &["sip", "sdp", "rtp", "audio", "codec", "supervision"],
    ),
    ("settings", &["redacted", "guest", "agent"]),
    ("telemetry", &["settings", "call", "supervision"]),
];

/// The files of `call` that decide: they see only values.
const PURE_CALL: &[&str] = &[
    "machine.rs",
    "outgoing.rs",
    "incoming.rs",
    "established.rs",
    "transferring.rs",
    "fallback.rs",
    "message.rs",
    "routing.rs",
    "end_reason.rs",
];

/// Folders without sockets, clock, randomness or runtime.
const PURE_FOLDERS: &[&str] = &["rtp", "audio", "sdp"];

/// Crates that only one folder may name.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("rtc_ice", &["peer"]),
    ("rtc_stun", &["peer", "sip"]),
    ("rtc_dtls", &["peer"]),
    ("rtc_srtp", &["srtp"]),
    ("rtc_shared", &["peer", "srtp"]),
    ("rtc_crypto", &["peer", "srtp"]),
    ("hickory_resolver", &["sip"]),
    ("sip_types", &["sip"]),
    ("tokio_rustls", &["sip"]),
    ("rustls_native_certs", &["sip"]),
    ("sdp_types", &["sdp"]),
    // sdp has a file of that name.
    ("opus::", &["audio", "sdp"]),
    ("mio", &["media"]),
    ("nix", &["sip"]),
    ("axum", &["signaling"]),
    ("tokio_tungstenite", &["signaling"]),
    ("serde_json", &["signaling", "gateway"]),
];

/// The files of the product, by their names below `src`.
fn source_files() -> Vec<(String, String)> {
    files_below("src")
}

/// Every file of Rust below a folder of the repository, by its name there, and its text.
fn files_below(folder: &str) -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .expect("below the folder")
                .display()
                .to_string();
            (name, fs::read_to_string(&path).expect("source is text"))
        })
        .collect()
}

/// The folder, or the file at the top without its ending.
fn room(name: &str) -> &str {
    name.split('/')
        .next()
        .expect("a name")
        .trim_end_matches(".rs")
}

/// Lines that are code of the product: neither comment nor documentation nor tests, which stand
/// last in a file.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
}

/// The modules of the crate that a file names by `crate::`.
fn imports(text: &str) -> Vec<String> {
    let code: String = code_lines(text).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        if let Some(list) = rest.strip_prefix('{') {
            // `use crate::{a, b::{c, d}}`: the names at depth one.
            let (mut depth, mut word) = (0_u32, String::new());
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                    c if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            found.push(word);
        } else {
            found.push(rest.to_owned());
        }
    }
    found
        .into_iter()
        .map(|name| {
            name.trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect()
}

#[test]
fn folders_import_only_what_the_design_allows() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, text) in source_files() {
        let room = room(&name);
        if matches!(room, "main" | "lib" | "gateway") {
            continue;
        }
        let Some(allowed) = allowed.get(room) else {
            wrong.push(format!(
                "src/{name}: {room} has no row in this test's table"
            ));
            continue;
        };
        for import in imports(&text) {
            if import != room && !allowed.contains(&import.as_str()) {
                wrong.push(format!("src/{name} imports crate::{import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_files_see_values_only() {
    let mut wrong = Vec::new();
    for (name, text) in source_files() {
        let file = name.rsplit('/').next().expect("a name");
        let pure_call = name.starts_with("call/") && PURE_CALL.contains(&file);
        let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
        if is_test || !pure_call && !PURE_FOLDERS.contains(&room(&name)) {
            continue;
        }
        for line in code_lines(&text) {
            for banned in [
                "tokio",
                "std::net::UdpSocket",
                "Instant::now",
                "SystemTime::now",
                "rand::",
            ] {
                if line.contains(banned) {
                    wrong.push(format!("src/{name} names {banned}: {line}"));
                }
            }
        }
        if pure_call {
            for import in imports(&text) {
                let values = matches!(import.as_str(), "sdp" | "codec" | "protection" | "guest");
                // `call` itself: a file deep in a folder names its neighbours so.
                if import != "call" && !values {
                    wrong.push(format!("src/{name} decides, and imports crate::{import}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_crate_at_the_edge_is_named_by_its_folder_only() {
    let mut wrong = Vec::new();
    for (name, text) in source_files() {
        for (owned, owners) in OWNED_CRATES {
            let named = code_lines(&text).any(|line| {
                line.match_indices(owned).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let path = owned.ends_with("::") || line[at + owned.len()..].starts_with("::");
                    path && before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
                })
            });
            if named && !owners.contains(&room(&name)) {
                wrong.push(format!(
                    "src/{name} names {owned}, which belongs to {owners:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn serde_stays_in_json_and_settings() {
    let mut wrong = Vec::new();
    for (name, text) in source_files() {
        let allowed = room(&name) == "settings" || name == "signaling/json.rs";
        if !allowed && code_lines(&text).any(|line| line.contains("serde::")) {
            wrong.push(format!("src/{name} names serde"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        for (name, text) in files_below(folder) {
            let lines = text.lines().count();
            if lines > LONGEST {
                wrong.push(format!(
                    "{folder}/{name} has {lines} lines, {LONGEST} at most"
                ));
            }
            if !text.starts_with("//! ") {
                wrong.push(format!("{folder}/{name} does not begin with //!"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The packages of a lock file, `name version`, and what the gateway itself depends on.
fn locked(file: &str) -> (Vec<String>, Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(path).expect("the lock file is committed");
    let lock: toml::Table = text.parse().expect("a lock file is TOML");
    let word = |value: &toml::Value| value.as_str().expect("text").to_owned();
    let packages = lock["package"].as_array().expect("packages");
    let own = packages
        .iter()
        .find(|package| word(&package["name"]) == "trunkline")
        .expect("the gateway is locked");
    let own = own["dependencies"].as_array().expect("dependencies");
    let named = packages
        .iter()
        .map(|package| format!("{} {}", word(&package["name"]), word(&package["version"])))
        .collect();
    // A name that is there twice has its version beside it.
    let bare = |value| word(value).split(' ').next().unwrap_or("").to_owned();
    (named, own.iter().map(bare).collect())
}

/// What no source file names: the lock of `fuzz/`, which a build there with `--locked` refuses
/// when it is behind.
#[test]
fn the_fuzz_targets_are_built_of_the_same_crates() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().expect("it is TOML");
    let mut wanted: Vec<&String> = Vec::new();
    let targets = manifest["target"].as_table().expect("targets");
    let tables = targets.values().filter_map(|of| of.get("dependencies"));
    for table in [&manifest["dependencies"]].into_iter().chain(tables) {
        wanted.extend(table.as_table().expect("a table").keys());
    }
    let (ours, _) = locked("Cargo.lock");
    let (theirs, dependencies) = locked("fuzz/Cargo.lock");
    let mut wrong = Vec::new();
    for name in wanted {
        if !dependencies.contains(name) {
            wrong.push(format!("fuzz/Cargo.lock has no {name}"));
        }
    }
    for name in &dependencies {
        let versions = |of: &[String]| -> Vec<String> {
            let same = |package: &&String| package.split(' ').next() == Some(name);
            of.iter().filter(same).cloned().collect()
        };
        if let Some(other) = versions(&theirs).iter().find(|one| !ours.contains(one)) {
            wrong.push(format!("fuzz/Cargo.lock has {other}, Cargo.lock has not"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\ncp Cargo.lock fuzz/ && cargo metadata --manifest-path fuzz/Cargo.toml",
        wrong.join("\n")
    );
}

#[test]
fn names_say_what_a_file_is_about() {
    let mut wrong = Vec::new();
    for (name, _) in source_files() {
        for part in name.trim_end_matches(".rs").split('/') {
            if matches!(
                part,
                "utils" | "util" | "helpers" | "helper" | "manager" | "common" | "misc"
            ) {
                wrong.push(format!("src/{name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mod_rs_is_a_face() {
    let mut wrong = Vec::new();
    for (name, text) in source_files() {
        if !name.ends_with("/mod.rs") {
            continue;
        }
        for line in code_lines(&text) {
            if line.starts_with("fn ") || line.starts_with("pub fn ") || line.starts_with("impl") {
                wrong.push(format!("src/{name}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
