//! Which file names which: paths by `crate::`, `super::`, `self::` and by the names of child
//! modules, followed through `use` and re-exports to the file that has the item.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::tree::{Tree, is_for_tests};

/// Deepest chain of re-exports that is followed.
const DEEPEST: usize = 8;

/// The names that a file gives to paths by `use`, and the paths that it names.
#[derive(Default)]
struct Named {
    aliases: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    paths: BTreeSet<Vec<String>>,
}

impl Named {
    fn take(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.take(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Name(name) => self.alias(&name.ident, &name.ident, prefix),
            syn::UseTree::Rename(rename) => self.alias(&rename.ident, &rename.rename, prefix),
            syn::UseTree::Glob(_) => {
                self.globs.push(prefix.clone());
                self.paths.insert(prefix.clone());
            }
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.take(item, prefix);
                }
            }
        }
    }

    fn alias(&mut self, name: &syn::Ident, alias: &syn::Ident, prefix: &[String]) {
        let mut path = prefix.to_vec();
        if name != "self" {
            path.push(name.to_string());
        }
        let alias = if alias == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            alias.to_string()
        };
        self.paths.insert(path.clone());
        self.aliases.insert(alias, path);
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // For links of the documentation alone.
        let documents = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg") && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "doc")
        });
        if !documents {
            self.take(&item.tree, &mut Vec::new());
        }
    }

    /// `pub(crate)` and `pub(in ..)` say who may look, and import nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string());
            self.paths.insert(segments.collect());
        }
        visit::visit_path(self, path);
    }
}

/// What every file imports of the crate.
pub struct Imports {
    named: Vec<Named>,
}

impl Imports {
    pub fn of(tree: &Tree) -> Self {
        let named = tree.files.iter().map(|file| {
            let mut named = Named::default();
            named.visit_file(&file.syntax);
            named
        });
        Imports {
            named: named.collect(),
        }
    }

    /// The files that a file names, but itself.
    pub fn of_file(&self, tree: &Tree, file: usize) -> BTreeSet<usize> {
        let found = self.named[file].paths.iter();
        let mut found: BTreeSet<usize> = found
            .filter_map(|path| self.resolve(tree, file, path))
            .collect();
        found.remove(&file);
        found
    }

    /// The file that has the item of a path which `file` names.
    fn resolve(&self, tree: &Tree, file: usize, path: &[String]) -> Option<usize> {
        let mut module = tree.files[file].module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some((first, others)) = rest.split_first()
                    && first == "super"
                {
                    module.pop();
                    rest = others;
                }
            }
            // A name that stands alone is followed where its `use` is read.
            _ if path.len() == 1 => return None,
            _ => {}
        }
        self.walk(
            tree,
            tree.file_of(&module)?,
            rest,
            DEEPEST,
            rest.len() == path.len(),
        )
    }

    /// Follows `path` from the module of `file`; `outer`: its first name may be a crate's.
    fn walk(
        &self,
        tree: &Tree,
        file: usize,
        path: &[String],
        depth: usize,
        outer: bool,
    ) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else {
            return Some(file);
        };
        let mut child = tree.files[file].module.clone();
        child.push(first.clone());
        if let Some(child) = tree.file_of(&child) {
            return self.walk(tree, child, rest, depth, false);
        }
        let depth = depth.checked_sub(1)?;
        let named = &self.named[file];
        if let Some(alias) = named.aliases.get(first) {
            let whole: Vec<String> = alias.iter().chain(rest).cloned().collect();
            let is_itself = whole.as_slice() == path;
            return if is_itself {
                None
            } else {
                self.follow(tree, file, &whole, depth)
            };
        }
        if outer {
            return None;
        }
        for glob in &named.globs {
            let whole: Vec<String> = glob.iter().cloned().chain([first.clone()]).collect();
            if let Some(found) = self.follow(tree, file, &whole, depth)
                && has_item(&tree.files[found].syntax, first)
            {
                return Some(found);
            }
        }
        Some(file)
    }

    fn follow(&self, tree: &Tree, file: usize, path: &[String], depth: usize) -> Option<usize> {
        let start = path.first()?;
        if matches!(start.as_str(), "crate" | "self" | "super") {
            let mut module = tree.files[file].module.clone();
            let mut rest = path;
            if start == "crate" {
                module.clear();
                rest = &path[1..];
            }
            while let Some((first, others)) = rest.split_first()
                && matches!(first.as_str(), "super" | "self")
            {
                if first == "super" {
                    module.pop();
                }
                rest = others;
            }
            return self.walk(tree, tree.file_of(&module)?, rest, depth, false);
        }
        self.walk(tree, file, path, depth, true)
    }
}

/// Whether a file itself has an item of this name.
fn has_item(file: &syn::File, name: &str) -> bool {
    file.items.iter().any(|item| match item {
        syn::Item::Const(item) => item.ident == name,
        syn::Item::Enum(item) => item.ident == name,
        syn::Item::Fn(item) => item.sig.ident == name,
        syn::Item::Struct(item) => item.ident == name,
        syn::Item::Trait(item) => item.ident == name,
        syn::Item::Type(item) => item.ident == name,
        syn::Item::Static(item) => item.ident == name,
        _ => false,
    })
}
