//! Which folder may import which.

use std::collections::BTreeMap;

use crate::imports::Imports;
use crate::tree::Tree;

/// What each folder (or file at the top) may import from the crate. `gateway` and `lib` may
/// import everything; vocabulary imports nothing.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("codec", &[]),
    ("dscp", &[]),
    ("redacted", &[]),
    ("supervision", &[]),
    ("display_name", &[]),
    ("timer_queue", &[]),
    ("token_bucket", &[]),
    ("stun", &[]),
    ("guest", &["display_name"]),
    ("rtp", &["codec"]),
    ("audio", &["codec"]),
    ("srtp_keys", &["redacted"]),
    ("sdp", &["codec", "redacted", "srtp_keys"]),
    ("srtp", &["srtp_keys"]),
    (
        "peer",
        &[
            "sdp",
            "srtp",
            "codec",
            "redacted",
            "srtp_keys",
            "stun",
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
            "stun",
            "supervision",
            "token_bucket",
            "timer_queue",
        ],
    ),
    (
        "media",
        &[
            "rtp",
            "audio",
            "sdp",
            "srtp",
            "peer",
            "codec",
            "dscp",
            "redacted",
            "srtp_keys",
            "stun",
            "supervision",
            "timer_queue",
        ],
    ),
    (
        "call",
        &[
            "sdp",
            "codec",
            "redacted",
            "srtp_keys",
            "guest",
            "peer",
            "media",
            "sip",
            "supervision",
        ],
    ),
    (
        "control",
        &[
            "call",
            "guest",
            "media",
            "peer",
            "sdp",
            "sip",
            "supervision",
        ],
    ),
    (
        "signaling",
        &[
            "call",
            "control",
            "display_name",
            "redacted",
            "guest",
            "token_bucket",
        ],
    ),
    (
        "sip_ws",
        &["call", "control", "signaling", "sip", "redacted"],
    ),
    (
        "built_in",
        &["sip", "sdp", "rtp", "audio", "codec", "supervision"],
    ),
    ("settings", &["redacted", "guest"]),
    ("telemetry", &["settings", "call", "supervision"]),
];

/// Imports that no row allows.
fn forbidden(tree: &Tree, rows: &[(&str, &[&str])]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = rows.iter().copied().collect();
    let imports = Imports::of(tree);
    let mut wrong = Vec::new();
    for (index, file) in tree.files.iter().enumerate() {
        let folder = file.folder();
        if matches!(folder, "lib" | "gateway") {
            continue;
        }
        let Some(allowed) = allowed.get(folder) else {
            wrong.push(format!(
                "{}: {folder} has no row in this test's table",
                file.name
            ));
            continue;
        };
        for other in imports.of_file(tree, index) {
            let other = &tree.files[other];
            if other.folder() != folder && !allowed.contains(&other.folder()) {
                wrong.push(format!("{} imports {}", file.name, other.name));
            }
        }
    }
    wrong
}

/// Parts of a folder that stand below another part of it: the first never imports the second.
const BELOW: &[(&str, &str)] = &[("sip/stack/", "sip/trunk/")];

/// Imports of a part from the part above it.
fn upward(tree: &Tree, rows: &[(&str, &str)]) -> Vec<String> {
    let imports = Imports::of(tree);
    let mut wrong = Vec::new();
    for (index, file) in tree.files.iter().enumerate() {
        for other in imports.of_file(tree, index) {
            let other = &tree.files[other];
            let is_upward = |(below, above): &(&str, &str)| {
                file.name.starts_with(below) && other.name.starts_with(above)
            };
            if rows.iter().any(is_upward) {
                wrong.push(format!("{} imports {}", file.name, other.name));
            }
        }
    }
    wrong
}

#[test]
fn lower_part_of_a_folder_does_not_import_the_upper() {
    let wrong = upward(&Tree::of_product(), BELOW);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn upward_import_inside_a_folder_is_found() {
    let tree = Tree::new([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod low; mod high;"),
        ("a/low.rs", "use super::high::High; pub struct Low(High);"),
        ("a/high.rs", "pub struct High;"),
    ]);
    assert_eq!(
        upward(&tree, &[("a/low", "a/high")]),
        ["a/low.rs imports a/high.rs"]
    );
    assert!(upward(&tree, &[("a/high", "a/low")]).is_empty());
}

#[test]
fn folders_import_only_what_the_design_allows() {
    let wrong = forbidden(&Tree::of_product(), MAY_IMPORT);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn forbidden_import_is_found_by_every_form_of_path() {
    let tree = Tree::new([
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod one; mod two; mod three; mod four;"),
        ("a/one.rs", "use crate::b::B;"),
        ("a/two.rs", "use super::super::b;"),
        ("a/three.rs", "fn f() { crate::b::g() }"),
        ("a/four.rs", "use crate::c::C;"),
        ("b.rs", "pub struct B; pub fn g() {}"),
        ("c.rs", "pub struct C;"),
    ]);
    let rows: &[(&str, &[&str])] = &[("a", &["c"]), ("b", &[]), ("c", &[])];
    assert_eq!(
        forbidden(&tree, rows),
        [
            "a/one.rs imports b.rs",
            "a/two.rs imports b.rs",
            "a/three.rs imports b.rs"
        ]
    );
}

#[test]
fn folder_without_a_row_is_found() {
    let tree = Tree::new([("lib.rs", "mod a;"), ("a.rs", "")]);
    assert_eq!(
        forbidden(&tree, &[]),
        ["a.rs: a has no row in this test's table"]
    );
}
