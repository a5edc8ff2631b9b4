//! Which folder may name which crate, and the crates of the fuzz targets.

use std::fs;
use std::path::Path;

use crate::tree::Tree;

/// Crates that only one folder may name.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("rtc_ice", &["peer"]),
    ("rtc_stun", &["stun", "sip"]),
    ("rtc_dtls", &["peer"]),
    ("rtc_srtp", &["srtp"]),
    ("rtc_shared", &["peer", "srtp"]),
    ("rtc_crypto", &["peer", "srtp", "stun"]),
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

/// Files that name a crate of another folder.
fn trespasses(tree: &Tree, crates: &[(&str, &[&str])]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in &tree.files {
        for (owned, owners) in crates {
            let named = file.code_lines().any(|line| {
                line.match_indices(owned).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let path = owned.ends_with("::") || line[at + owned.len()..].starts_with("::");
                    path && before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
                })
            });
            if named && !owners.contains(&file.folder()) {
                wrong.push(format!(
                    "{} names {owned}, which belongs to {owners:?}",
                    file.name
                ));
            }
        }
    }
    wrong
}

#[test]
fn a_crate_at_the_edge_is_named_by_its_folder_only() {
    let wrong = trespasses(&Tree::of_product(), OWNED_CRATES);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crate_of_another_folder_is_found() {
    let tree = Tree::new([
        ("lib.rs", "mod call; mod media;"),
        ("call.rs", "use mio::Poll;"),
        ("media.rs", "fn f() { mio::Poll::new(); }"),
    ]);
    let wrong = trespasses(&tree, &[("mio", &["media"])]);
    assert_eq!(wrong, ["call.rs names mio, which belongs to [\"media\"]"]);
}

#[test]
fn serde_stays_in_json_and_settings() {
    let tree = Tree::of_product();
    let wrong: Vec<&str> = tree
        .files
        .iter()
        .filter(|file| file.folder() != "settings" && file.name != "signaling/json.rs")
        .filter(|file| file.code_lines().any(|line| line.contains("serde::")))
        .map(|file| file.name.as_str())
        .collect();
    assert!(wrong.is_empty(), "{} name serde", wrong.join(", "));
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
    let manifest: toml::Table = include_str!("../../Cargo.toml")
        .parse()
        .expect("it is TOML");
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
