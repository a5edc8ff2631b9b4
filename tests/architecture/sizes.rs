//! Functions and types that are too long to hold in the head.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::tree::{SourceFile, Tree, is_for_tests};

/// Lines of a function, from `fn` to its last brace.
const LONGEST_FUNCTION: usize = 100;
/// Fields of a type.
const MOST_FIELDS: usize = 15;

/// Longer functions that stand, with their lines. They may shrink, not grow: each is one `match` or one
/// construction from many parts.
const LONG_FUNCTIONS: &[(&str, usize)] = &[("gateway.rs: start", 138)];

/// Wider types that stand, with their fields: tables of the configuration, counters, and owners of
/// a driver's state that are still to be divided.
const WIDE_TYPES: &[(&str, usize)] = &[
    ("media/pipeline/statistics.rs: PipelineStatistics", 19),
    ("peer/ice/agent.rs: Agent", 27),
    ("sip/trunk/config.rs: Trunk", 25),
    ("sip/stack/transport/sockets.rs: Transports", 16),
    ("sip/trunk/user_agent/agent.rs: UserAgent", 19),
];

/// Something of a file with a size.
#[derive(Debug, PartialEq, Eq)]
pub struct Sized {
    /// `call/task.rs: CallTask`.
    pub name: String,
    pub size: usize,
}

#[derive(Default)]
struct Found {
    file: String,
    functions: Vec<Sized>,
    types: Vec<Sized>,
}

impl Found {
    fn function(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.span();
        let size = span.end().line - span.start().line + 1;
        if size > LONGEST_FUNCTION {
            let name = format!("{}: {name}", self.file);
            self.functions.push(Sized { name, size });
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if item.fields.len() > MOST_FIELDS {
            let name = format!("{}: {}", self.file, item.ident);
            let size = item.fields.len();
            self.types.push(Sized { name, size });
        }
    }
}

fn found(file: &SourceFile) -> Found {
    let mut found = Found {
        file: file.name.clone(),
        ..Found::default()
    };
    if !file.is_test() {
        found.visit_file(&file.syntax);
    }
    found
}

/// Functions of more than [`LONGEST_FUNCTION`] lines.
pub fn long_functions(tree: &Tree) -> Vec<Sized> {
    tree.files
        .iter()
        .flat_map(|file| found(file).functions)
        .collect()
}

/// Types of more than [`MOST_FIELDS`] fields.
pub fn wide_types(tree: &Tree) -> Vec<Sized> {
    tree.files
        .iter()
        .flat_map(|file| found(file).types)
        .collect()
}

/// What is larger than the exceptions say, and exceptions that are too large.
fn against(exceptions: &[(&str, usize)], found: &[Sized]) -> Vec<String> {
    let known = |name: &str| {
        exceptions
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, size)| *size)
    };
    let grown = found.iter().filter(|it| known(&it.name) != Some(it.size));
    let gone = exceptions
        .iter()
        .filter(|(name, _)| !found.iter().any(|it| it.name == *name));
    grown
        .map(|it| {
            format!(
                "{}: {}, the exception says {:?}",
                it.name,
                it.size,
                known(&it.name)
            )
        })
        .chain(gone.map(|(name, _)| format!("{name} needs no exception any more")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{LONG_FUNCTIONS, Sized, WIDE_TYPES, against, long_functions, wide_types};
    use crate::tree::Tree;

    #[test]
    fn functions_are_short_and_types_narrow() {
        let tree = Tree::of_product();
        let mut wrong = against(LONG_FUNCTIONS, &long_functions(&tree));
        wrong.extend(against(WIDE_TYPES, &wide_types(&tree)));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn exception_holds_for_its_size_only() {
        let found = [("a", 120), ("b", 110)].map(|(name, size)| Sized {
            name: name.to_owned(),
            size,
        });
        assert_eq!(
            against(&[("a", 120), ("b", 110)], &found),
            [] as [String; 0]
        );
        assert_eq!(
            against(&[("a", 119), ("c", 130)], &found),
            [
                "a: 120, the exception says Some(119)",
                "b: 110, the exception says None",
                "c needs no exception any more",
            ]
        );
    }

    #[test]
    fn long_function_is_found_and_one_of_tests_is_not() {
        let body = "f();\n".repeat(110);
        let text = format!(
            "fn long() {{\n{body}}}\nimpl A {{ fn also() {{\n{body}}} }}\n\
             #[cfg(test)]\nmod tests {{ fn test() {{\n{body}}} }}\n"
        );
        let tree = Tree::new([("a.rs", text.as_str())]);
        let names: Vec<String> = long_functions(&tree)
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["a.rs: long", "a.rs: also"]);
    }

    #[test]
    fn type_with_many_fields_is_found() {
        let fields: String = (0..16).map(|n| format!("f{n}: u8,")).collect();
        let text = format!("struct Wide {{ {fields} }} struct Narrow {{ f: u8 }}");
        let tree = Tree::new([("a.rs", text.as_str())]);
        let name = "a.rs: Wide".to_owned();
        assert_eq!(wide_types(&tree), [Sized { name, size: 16 }]);
    }
}
