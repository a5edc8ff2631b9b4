//! The configuration as it was written: a tree of keys and values that know where they come from.
//!
//! A file gives typed values. A variable gives text, whose type is that of its key: see
//! [`super::typed`].

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::error::{Error, Origin, Problem};
use super::lines::line_of;

/// The prefix of all variables.
pub(super) const PREFIX: &str = "TRUNKLINE_";

/// Between the parts of a key in the name of a variable.
pub(super) const SEPARATOR: &str = "__";

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// In full, `trunk[0].codecs`.
    pub(super) path: String,
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What is written there.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    /// A type of TOML that no key has.
    Other(String),
    /// The text of a variable.
    Variable(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// A file's text.
    pub(super) fn read(file: &str, text: &str) -> Result<Self, Vec<Error>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(super::hints::not_toml(file, text, errors));
        }
        let at =
            |span: std::ops::Range<usize>| Origin::Line(file.to_owned(), line_of(text, span.start));
        Ok(Node {
            path: String::new(),
            origin: Origin::File(file.to_owned()),
            value: of_table("", table.into_inner(), &at),
        })
    }

    /// No file.
    pub(super) fn empty(name: &str) -> Self {
        Node {
            path: String::new(),
            origin: Origin::File(name.to_owned()),
            value: Value::Table(BTreeMap::new()),
        }
    }

    /// The list or table that a variable holds in the syntax of TOML.
    pub(super) fn of_variable(&self, text: &str) -> Result<Value, Error> {
        match DeValue::parse(text.trim()) {
            Ok(value) => {
                let origin = self.origin.clone();
                Ok(of_value(&self.path, value.into_inner(), &|_| {
                    origin.clone()
                }))
            }
            Err(error) => {
                let origin = self.origin.clone();
                let why = format!("not TOML: {}", error.message());
                Err(Error {
                    key: self.path.clone(),
                    ..Error::unreadable(origin, &why)
                })
            }
        }
    }

    /// Lays the variables of the environment over it.
    pub(super) fn override_by(
        &mut self,
        variables: impl Iterator<Item = (String, Option<String>)>,
        tables: &[&str],
    ) -> Vec<Error> {
        let mut ours: Vec<(Vec<String>, String, Option<String>)> = variables
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(PREFIX)?;
                let parts: Vec<String> =
                    key.split(SEPARATOR).map(str::to_ascii_lowercase).collect();
                // A variable of one part that is no table is meant for another program.
                let is_ours = parts.len() > 1 || tables.contains(&parts[0].as_str());
                is_ours.then_some((parts, name, value))
            })
            .collect();
        // Whole tables first, then what is changed in them.
        ours.sort_by(|one, other| one.0.len().cmp(&other.0.len()).then(one.1.cmp(&other.1)));
        let mut errors = Vec::new();
        for (parts, name, value) in ours {
            let origin = Origin::Variable(name);
            let set = match value {
                Some(value) => self.set(&parts, value, &origin),
                None => Err(Error::unreadable(origin, "not UTF-8")),
            };
            errors.extend(set.err());
        }
        errors
    }

    fn set(&mut self, parts: &[String], text: String, origin: &Origin) -> Result<(), Error> {
        let Some((part, rest)) = parts.split_first() else {
            self.value = Value::Variable(text);
            self.origin = origin.clone();
            return Ok(());
        };
        if let Value::Variable(whole) = &self.value {
            self.value = self.of_variable(whole)?;
        }
        let path = self.path.clone();
        match &mut self.value {
            Value::Table(table) => {
                let path = joined(&path, part);
                let below = table.entry(part.clone()).or_insert_with(|| Node {
                    path,
                    origin: origin.clone(),
                    value: Value::Table(BTreeMap::new()),
                });
                below.set(rest, text, origin)
            }
            Value::List(list) => {
                let count = list.len();
                let element = part.parse().ok().and_then(|at: usize| list.get_mut(at));
                let Some(element) = element else {
                    return Err(Error {
                        origin: origin.clone(),
                        ..Error::value(
                            path,
                            part,
                            format!("the number of one of its {count} elements, counted from 0"),
                        )
                    });
                };
                element.set(rest, text, origin)
            }
            _ => Err(Error {
                origin: origin.clone(),
                ..Error::value(path, part, "no more parts: the key is no table")
            }),
        }
    }

    /// The node at a key that counts the elements of lists as they stand now.
    fn find(&self, key: &str) -> (&Node, bool) {
        let mut node = self;
        for part in parts(key) {
            let below = match &node.value {
                Value::Table(table) => table.get(part),
                Value::List(list) => part.parse().ok().and_then(|at: usize| list.get(at)),
                _ => None,
            };
            match below {
                Some(below) => node = below,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// Gives an error the place of its key, or of the table that lacks it.
    pub(super) fn locate(&self, mut error: Error) -> Error {
        if error.origin != Origin::Unknown {
            return error;
        }
        error.key = first_key(&error.key).to_owned();
        let (node, found) = self.find(&error.key);
        error.origin = node.origin.clone();
        if !found && node.holds_in_variable(&error.key) {
            return error;
        }
        if found {
            if !node.path.is_empty() {
                error.key.clone_from(&node.path);
            }
        } else if let Problem::Unusable { expected, .. } = error.problem {
            error.problem = Problem::Missing { expected };
        }
        error
    }

    /// Whether the list or table that its variable holds has that key.
    fn holds_in_variable(&self, key: &str) -> bool {
        let Value::Variable(text) = &self.value else {
            return false;
        };
        let below = key.strip_prefix(self.path.as_str()).unwrap_or_default();
        let value = self.of_variable(text).ok();
        value.is_some_and(|value| {
            let node = Node {
                value,
                ..self.clone()
            };
            node.find(below).1
        })
    }

    /// Takes a key out, so that its default is in force. Returns whether it was there.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        match &mut self.value {
            Value::Table(table) => {
                let before = table.len();
                table.retain(|_, node| node.path != path);
                table.len() < before || table.values_mut().any(|node| node.remove(path))
            }
            Value::List(list) => {
                let before = list.len();
                list.retain(|node| node.path != path);
                list.len() < before || list.iter_mut().any(|node| node.remove(path))
            }
            _ => false,
        }
    }
}

/// Where one error concerns several keys, the first has the place.
fn first_key(key: &str) -> &str {
    key.split(',').next().unwrap_or_default()
}

/// `a.b[0].c` as `a`, `b`, `0`, `c`.
fn parts(key: &str) -> impl Iterator<Item = &str> {
    let key = first_key(key);
    key.split(['.', '[', ']']).filter(|part| !part.is_empty())
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

type Place<'a> = &'a dyn Fn(std::ops::Range<usize>) -> Origin;

fn of_table(path: &str, table: DeTable<'_>, origin: Place<'_>) -> Value {
    let entries = table.into_iter().map(|(key, value)| {
        let place = origin(key.span());
        let key = key.into_inner().into_owned();
        let path = joined(path, &key);
        let value = of_value(&path, value.into_inner(), origin);
        let node = Node {
            path,
            origin: place,
            value,
        };
        (key, node)
    });
    Value::Table(entries.collect())
}

fn of_value(path: &str, value: DeValue<'_>, origin: Place<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(list) => {
            let elements = list.into_iter().enumerate().map(|(at, value)| {
                let path = format!("{path}[{at}]");
                let place = origin(value.span());
                let value = of_value(&path, value.into_inner(), origin);
                Node {
                    path,
                    origin: place,
                    value,
                }
            });
            Value::List(elements.collect())
        }
        DeValue::Table(table) => of_table(path, table, origin),
    }
}
