//! The table against the source and the page that documents it.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What the source counts: names, and label values that are written beside them.
fn counted(folder: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            counted(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        for macro_name in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(macro_name) {
                let arguments = &text[at..];
                let end = arguments.find(')').unwrap_or(arguments.len());
                let mut words = arguments[..end].split('"').skip(1).step_by(2);
                let Some(name) = words.next().filter(|name| name.starts_with("trunkline_")) else {
                    continue;
                };
                found
                    .entry(name.to_owned())
                    .or_default()
                    .extend(words.map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_metric_of_the_source_has_a_row_and_its_literal_labels() {
    let mut found = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    counted(&root, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for (name, words) in &found {
        let metric = METRICS
            .iter()
            .find(|metric| metric.name == name)
            .unwrap_or_else(|| panic!("{name} has no row in src/telemetry/metrics.rs"));
        let known: BTreeSet<&str> = metric
            .labels
            .iter()
            .flat_map(|(label, values)| std::iter::once(*label).chain(values.known()))
            .collect();
        for word in words {
            assert!(
                known.contains(word.as_str()),
                "{name}: {word} is not in its row"
            );
        }
    }
    for metric in METRICS {
        assert!(
            found.contains_key(metric.name),
            "{} is never counted",
            metric.name
        );
    }
}

#[test]
fn the_documented_metrics_are_this_table() {
    let page = include_str!("../../../docs/operations.md");
    for metric in METRICS {
        assert!(
            page.contains(&format!("`{}", metric.name)),
            "{} is not in docs/operations.md",
            metric.name
        );
    }
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for metric in METRICS {
        let is_total = metric.name.ends_with("_total");
        assert_eq!(is_total, matches!(metric.kind, Counter), "{}", metric.name);
        assert!(!metric.help.is_empty() && !metric.help.ends_with('.'));
    }
}
