//! How long files are, how they begin, and what they are called.

use crate::tree::{Tree, files_below};

/// Longest file, lines.
const LONGEST: usize = 600;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 7] = [
    "utils", "util", "helpers", "helper", "manager", "common", "misc",
];

/// What is wrong with the length or the begin of a file.
fn misshapen(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        wrong.push(format!("{name} has {lines} lines, {LONGEST} at most"));
    }
    if !text.starts_with("//! ") {
        wrong.push(format!("{name} does not begin with //!"));
    }
    wrong
}

/// Functions and implementations in a `mod.rs`.
fn bodies_in_faces(tree: &Tree) -> Vec<String> {
    let faces = tree
        .files
        .iter()
        .filter(|file| file.name.ends_with("/mod.rs"));
    faces
        .flat_map(|file| {
            let bodies = file.code_lines().filter(|line| {
                line.starts_with("fn ") || line.starts_with("pub fn ") || line.starts_with("impl")
            });
            bodies
                .map(|line| format!("{}: {line}", file.name))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Files whose names say nothing.
fn empty_names(tree: &Tree) -> Vec<&str> {
    let named = tree.files.iter();
    let empty = named.filter(|file| {
        file.module
            .iter()
            .any(|part| EMPTY_NAMES.contains(&part.as_str()))
    });
    empty.map(|file| file.name.as_str()).collect()
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        for (name, text) in files_below(folder) {
            wrong.extend(misshapen(&format!("{folder}/{name}"), &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_say_what_a_file_is_about() {
    assert_eq!(empty_names(&Tree::of_product()), [] as [&str; 0]);
}

#[test]
fn mod_rs_is_a_face() {
    let wrong = bodies_in_faces(&Tree::of_product());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn misshapen_files_are_found() {
    let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(LONGEST));
    assert_eq!(
        misshapen("a.rs", &long),
        ["a.rs has 601 lines, 600 at most"]
    );
    assert_eq!(
        misshapen("b.rs", "fn f() {}"),
        ["b.rs does not begin with //!"]
    );
    let tree = Tree::new([
        ("lib.rs", "mod call;"),
        ("call/mod.rs", "mod util;\npub fn f() {}"),
        ("call/util.rs", ""),
    ]);
    assert_eq!(bodies_in_faces(&tree), ["call/mod.rs: pub fn f() {}"]);
    assert_eq!(empty_names(&tree), ["call/util.rs"]);
}
