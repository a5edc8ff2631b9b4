//! Files that import each other in a circle, parents and children aside: a child may use what its
//! parent has, and a parent its children.

use std::collections::BTreeSet;

use crate::imports::Imports;
use crate::tree::Tree;

/// Circles that stand: how many files each has, by a file that is in it. They may shrink, not grow.
const KNOWN: &[(&str, usize)] = &[];

/// Each circle, as the names of its files, sorted.
pub fn circles(tree: &Tree) -> Vec<Vec<String>> {
    let imports = Imports::of(tree);
    let edges: Vec<BTreeSet<usize>> = (0..tree.files.len())
        .map(|file| {
            if tree.files[file].is_test() {
                return BTreeSet::new();
            }
            let mut edges = imports.of_file(tree, file);
            edges.retain(|other| !is_family(&tree.files[file].module, &tree.files[*other].module));
            edges
        })
        .collect();
    let mut found: Vec<Vec<String>> = components(&edges)
        .into_iter()
        .filter(|component| component.len() > 1)
        .map(|component| {
            let mut names: Vec<String> = component
                .into_iter()
                .map(|file| tree.files[file].name.clone())
                .collect();
            names.sort();
            names
        })
        .collect();
    found.sort();
    found
}

/// Whether one module is the parent of the other, or its parent's parent.
fn is_family(one: &[String], other: &[String]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The strongly connected components (Tarjan).
fn components(edges: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    struct Search<'a> {
        edges: &'a [BTreeSet<usize>],
        numbers: Vec<Option<usize>>,
        lowest: Vec<usize>,
        stack: Vec<usize>,
        on_stack: Vec<bool>,
        next: usize,
        found: Vec<Vec<usize>>,
    }
    impl Search<'_> {
        fn visit(&mut self, node: usize) {
            self.numbers[node] = Some(self.next);
            self.lowest[node] = self.next;
            self.next += 1;
            self.stack.push(node);
            self.on_stack[node] = true;
            for &other in &self.edges[node] {
                match self.numbers[other] {
                    None => {
                        self.visit(other);
                        self.lowest[node] = self.lowest[node].min(self.lowest[other]);
                    }
                    Some(number) if self.on_stack[other] => {
                        self.lowest[node] = self.lowest[node].min(number);
                    }
                    Some(_) => {}
                }
            }
            if self.numbers[node] == Some(self.lowest[node]) {
                let start = self
                    .stack
                    .iter()
                    .rposition(|on| *on == node)
                    .expect("it is there");
                let component = self.stack.split_off(start);
                for &done in &component {
                    self.on_stack[done] = false;
                }
                self.found.push(component);
            }
        }
    }
    let count = edges.len();
    let mut search = Search {
        edges,
        numbers: vec![None; count],
        lowest: vec![0; count],
        stack: Vec::new(),
        on_stack: vec![false; count],
        next: 0,
        found: Vec::new(),
    };
    for node in 0..count {
        if search.numbers[node].is_none() {
            search.visit(node);
        }
    }
    search.found
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, circles};
    use crate::tree::Tree;

    #[test]
    fn files_import_each_other_in_no_circle() {
        let mut wrong = Vec::new();
        let found = circles(&Tree::of_product());
        for circle in &found {
            let known = KNOWN
                .iter()
                .find(|(name, _)| circle.iter().any(|file| file == name));
            if known.is_none_or(|(_, size)| circle.len() > *size) {
                wrong.push(format!(
                    "a circle of {}: {}",
                    circle.len(),
                    circle.join(", ")
                ));
            }
        }
        for (name, size) in KNOWN {
            let stands = found
                .iter()
                .any(|it| it.len() == *size && it.iter().any(|file| file == name));
            if !stands {
                wrong.push(format!(
                    "the circle of {size} around {name} is smaller now, or gone: say so in KNOWN"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn circle_by_super_and_reexport_is_found() {
        let tree = Tree::new([
            ("lib.rs", "mod call;"),
            ("call/mod.rs", "mod a; mod b; pub use b::B;"),
            ("call/a.rs", "use super::B; pub struct A(B);"),
            (
                "call/b.rs",
                "pub struct B; pub fn f() -> super::a::A { todo!() }",
            ),
        ]);
        assert_eq!(circles(&tree), [["call/a.rs", "call/b.rs"]]);
    }

    #[test]
    fn parent_and_child_are_no_circle() {
        let tree = Tree::new([
            ("lib.rs", "mod call;"),
            ("call/mod.rs", "mod a; pub struct Own; pub use a::A;"),
            (
                "call/a.rs",
                "mod deep; pub struct A(super::Own); use deep::D;",
            ),
            (
                "call/a/deep.rs",
                "pub struct D(super::super::Own, super::A);",
            ),
        ]);
        assert_eq!(circles(&tree), [] as [Vec<String>; 0]);
    }

    #[test]
    fn circle_through_tests_does_not_count() {
        let tree = Tree::new([
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub struct A(crate::b::B);"),
            (
                "b.rs",
                "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }",
            ),
        ]);
        assert_eq!(circles(&tree), [] as [Vec<String>; 0]);
    }

    #[test]
    fn circle_by_name_of_a_child_module_is_found() {
        let tree = Tree::new([
            ("lib.rs", "mod x;"),
            ("x/mod.rs", "pub mod a; pub mod b;"),
            ("x/a.rs", "use super::b; fn f() { b::g() }"),
            ("x/b.rs", "pub fn g() { crate::x::a::f() }"),
        ]);
        assert_eq!(circles(&tree), [["x/a.rs", "x/b.rs"]]);
    }
}
