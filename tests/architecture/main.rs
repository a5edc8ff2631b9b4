//! The house rules that a compiler does not know: who may import whom, what pure files may name,
//! how long files and functions may be. Each rule is a function over a tree of files, and is fed
//! a small wrong tree as well.

mod circles;
mod crates;
mod folders;
mod imports;
mod pure;
mod shape;
mod sizes;
mod tree;
