//! `docs/sip-conformance.md` and `docs/security.md` promise tests by name: each of them is there.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "node_modules" && name != "target" {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "mjs")
        {
            found.push(path);
        }
    }
}

/// The words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every name in the last column of a table that has a column `test`.
fn promised(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_table = false;
    for line in page.lines() {
        let Some(row) = line.strip_prefix('|') else {
            in_table = false;
            continue;
        };
        let cells: Vec<&str> = row.trim_end().trim_end_matches('|').split(" | ").collect();
        let last = cells.last().map_or("", |cell| cell.trim());
        if last == "test" || last.starts_with("test (") {
            in_table = true;
        } else if in_table && cells.len() > 1 {
            names.extend(quoted(last).map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_test_that_the_conformance_page_names_exists() {
    assert_promises_are_kept("docs/sip-conformance.md", 20);
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    assert_promises_are_kept("docs/security.md", 10);
}

/// More than `fewest` tests are named on that page, and all of them are there.
fn assert_promises_are_kept(page: &str, fewest: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(page)).expect("the page is there");
    let names = promised(&page);
    assert!(names.len() > fewest, "only {} tests are named", names.len());
    let mut paths = Vec::new();
    for folder in ["src", "tests"] {
        files(&root.join(folder), &mut paths);
    }
    let sources: Vec<(String, String)> = paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("source is text");
            (path.display().to_string(), text)
        })
        .collect();
    let exists = |name: &str| {
        let name = name.rsplit("::").next().unwrap_or(name);
        let function = format!("fn {name}(");
        sources.iter().any(|(path, text)| {
            text.contains(&function)
                || path.ends_with(name)
                || path.ends_with(&format!("/{name}.mjs"))
                || path.ends_with(&format!("/{name}.rs"))
        })
    };
    let missing: Vec<&String> = names.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
