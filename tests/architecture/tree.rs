//! The source files of a tree, parsed, and their place in the module tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One file of Rust.
pub struct SourceFile {
    /// Below the tree's root, `call/machine.rs`.
    pub name: String,
    pub text: String,
    /// Its modules from the root on: `["call", "machine"]`; empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    pub syntax: syn::File,
}

impl SourceFile {
    pub fn new(name: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        SourceFile {
            name: name.to_owned(),
            text: text.to_owned(),
            module: module_of(name),
            syntax,
        }
    }

    /// Tests that are files of their own.
    pub fn is_test(&self) -> bool {
        self.module.iter().any(|part| part == "tests")
    }

    /// The folder, or the file at the top without its ending: `call`.
    pub fn folder(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Lines that are code of the product: neither comment nor documentation nor tests, which
    /// stand last in a file.
    pub fn code_lines(&self) -> impl Iterator<Item = &str> {
        let code = self.text.split("\n#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().map(str::trim);
        lines.filter(|line| !line.starts_with("//"))
    }
}

fn module_of(name: &str) -> Vec<String> {
    let stem = name.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main") {
        return Vec::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

/// The files of one crate.
pub struct Tree {
    pub files: Vec<SourceFile>,
    by_module: BTreeMap<Vec<String>, usize>,
}

impl Tree {
    /// Files given as name and text.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let files: Vec<_> = files
            .into_iter()
            .map(|(name, text)| SourceFile::new(name, text))
            .collect();
        let by_module = files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.module.clone(), index))
            .collect();
        Tree { files, by_module }
    }

    /// The product.
    pub fn of_product() -> Self {
        let files = files_below("src");
        // `main.rs` is a crate of its own.
        let files = files.iter().filter(|(name, _)| name != "main.rs");
        Tree::new(files.map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// The index of the file of a module.
    pub fn file_of(&self, module: &[String]) -> Option<usize> {
        self.by_module.get(module).copied()
    }
}

/// Every file of Rust below a folder of the repository, by its name there, and its text.
pub fn files_below(folder: &str) -> Vec<(String, String)> {
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
            let name = path.strip_prefix(&root).expect("below the folder");
            let text = fs::read_to_string(&path).expect("source is text");
            (name.display().to_string(), text)
        })
        .collect()
}

/// Whether an item is compiled for tests alone.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && condition
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word == "test")
            && !condition.starts_with("not")
    })
}
