//! From the tree of [`super::source`] to the settings, by serde: the type of a key decides how
//! the text of a variable is read, and an error knows its key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::error::{Error, Problem, shown, with_port_range};
use super::hints;
use super::secret::SECRET;
use super::source::{Node, Value};

/// A field whose name begins so is a group: its keys stand in the table of the type that has the
/// field, and not in a table of their own.
pub(super) const GROUP: char = '+';

/// An alike key is alike from here on (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// An error that does not know its key yet.
#[derive(Debug)]
pub(super) enum Fault {
    /// Serde's words.
    Custom(String),
    /// A type or value that was not expected; shown only where it is no secret.
    Type { expected: String },
    /// No such key.
    Unknown {
        key: String,
        known: Vec<&'static str>,
    },
    /// It knows everything.
    Placed(Box<Error>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Fault::Custom(text.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Fault::Type {
            expected: expected.to_string(),
        }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Fault::Type {
            expected: expected.to_string(),
        }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Fault::Unknown {
            key: field.to_owned(),
            known: known.to_vec(),
        }
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        let expected = match known {
            [] => String::new(),
            [only] => (*only).to_owned(),
            [others @ .., last] => format!("{} or {last}", others.join(", ")),
        };
        Fault::Type { expected }
    }
}

/// What serde and std call the types of our keys, in the words of the file.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "a boolean" => "true or false",
        "a string" | "string" => "a string",
        "a sequence" => "a list, as [\"a\", \"b\"]",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "f64" | "f32" => "a number",
        "path string" => "the path of a file",
        text if text.contains("socket address") => "a socket address, ADDRESS:PORT",
        text if text.contains("IP address") || text.contains("IPv") => "an IP address",
        text if text.starts_with("struct") => "a table",
        other => other,
    };
    words.to_owned()
}

/// Of names that exist the one that is written most alike, if any is.
pub fn nearest<'a>(known: impl Iterator<Item = &'a str>, written: &str) -> Option<&'a str> {
    let written = written.to_lowercase();
    known
        .map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &written), name))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(alike, _)| *alike >= ALIKE)
        .map(|(_, name)| name)
}

impl Node {
    /// As an element of [`super::tables`].
    pub(super) fn typed<'de, T: de::Deserialize<'de>>(&self) -> Result<T, Error> {
        T::deserialize(self).map_err(|fault| self.place(fault))
    }

    /// Gives a fault this node's key, unless it has one.
    fn place(&self, fault: Fault) -> Error {
        let problem = match fault {
            Fault::Placed(error) => return *error,
            Fault::Custom(text) => {
                let value = self.shown();
                Problem::Unusable {
                    expected: with_port_range(&value, in_words(&text)),
                    value,
                }
            }
            Fault::Type { expected } => {
                let hint = match &self.value {
                    Value::Table(_) if expected == "a sequence" => {
                        hints::instead_of_table(&self.path)
                    }
                    Value::List(_) => hints::instead_of_list(&self.path),
                    _ => None,
                };
                let value = self.shown();
                let expected = hint.unwrap_or_else(|| in_words(&expected));
                Problem::Unusable {
                    expected: with_port_range(&value, expected),
                    value,
                }
            }
            Fault::Unknown { key, known } => return self.unknown(&key, &known),
        };
        Error {
            origin: self.origin.clone(),
            key: self.path.clone(),
            problem,
        }
    }

    fn unknown(&self, key: &str, known: &[&'static str]) -> Error {
        let in_full = |key: &str| match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let nearest = hints::renamed(&in_full(key)).or_else(|| nearest(known.iter().copied(), key));
        let origin = match &self.value {
            Value::Table(table) => table.get(key).map(|node| node.origin.clone()),
            _ => None,
        };
        Error {
            origin: origin.unwrap_or_else(|| self.origin.clone()),
            key: in_full(key),
            problem: Problem::UnknownKey {
                nearest: nearest.map(in_full),
                known: known.iter().map(|key| (*key).to_owned()).collect(),
            },
        }
    }

    /// The value for an error.
    fn shown(&self) -> String {
        match &self.value {
            Value::Text(text) => shown(text),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Other(text) => text.clone(),
            Value::Variable(text) => shown(text),
            // It may hold secrets.
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    fn faulty<'de, V: Visitor<'de>>(&self, visitor: &V) -> Fault {
        struct Words<'a, V>(&'a V);
        impl<'de, V: Visitor<'de>> fmt::Display for Words<'_, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.expecting(f)
            }
        }
        Fault::Type {
            expected: Words(visitor).to_string(),
        }
    }

    fn fault<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| Fault::Placed(Box::new(self.place(fault))))
    }

    fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Text(text) | Value::Variable(text) => visitor.visit_str(text),
            Value::Integer(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => Err(self.faulty(&visitor)),
            },
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Other(_) => Err(self.faulty(&visitor)),
            Value::List(list) => visitor.visit_seq(Elements(list.iter())),
            Value::Table(table) => visitor.visit_map(Entries {
                rest: table.iter(),
                value: None,
            }),
        }
    }

    /// The same for a type with these fields, some of which may be groups.
    fn visit_fields<'de, V: Visitor<'de>>(
        &self,
        visitor: V,
        fields: &'static [&'static str],
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Table(table) if fields.iter().any(|field| field.starts_with(GROUP)) => {
                let own = |(key, _): &(&String, &Node)| is_one_of(fields, key);
                visitor.visit_map(WithGroups {
                    node: self,
                    table,
                    own: Entries {
                        rest: table.iter().filter(own).collect::<Vec<_>>().into_iter(),
                        value: None,
                    },
                    fields: fields.iter(),
                    known: RefCell::new(fields.to_vec()),
                    group: false,
                })
            }
            _ => self.visit(visitor),
        }
    }

    /// A list or a table, in a variable in the syntax of TOML.
    fn visit_structure<'de, V: Visitor<'de>>(
        &self,
        visitor: V,
        is_it: fn(&Value) -> bool,
        fields: &'static [&'static str],
    ) -> Result<V::Value, Fault> {
        let Value::Variable(text) = &self.value else {
            let result = if is_it(&self.value) {
                self.visit_fields(visitor, fields)
            } else {
                Err(self.faulty(&visitor))
            };
            return self.fault(result);
        };
        let value = self.of_variable(text);
        let parsed = Node {
            value: value.map_err(|error| Fault::Placed(Box::new(error)))?,
            path: self.path.clone(),
            origin: self.origin.clone(),
        };
        if is_it(&parsed.value) {
            let result = parsed.visit_fields(visitor, fields);
            return parsed.fault(result);
        }
        // Its text may hold secrets.
        let error = match parsed.place(parsed.faulty(&visitor)) {
            Error {
                problem: Problem::Unusable { expected, .. },
                ..
            } => Error {
                origin: self.origin.clone(),
                ..Error::shown(&self.path, "its value".to_owned(), expected)
            },
            other => other,
        };
        Err(Fault::Placed(Box::new(error)))
    }
}

/// A number or a boolean: the text of a variable is read as that.
macro_rules! scalars {
    ($($method:ident $type:ty => $visit:ident),*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let result = match &self.value {
                Value::Variable(text) => match text.trim().parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(self.faulty(&visitor)),
                },
                _ => self.visit(visitor),
            };
            self.fault(result)
        }
    )* };
}

impl<'de> de::Deserializer<'de> for &Node {
    type Error = Fault;

    scalars! {
        deserialize_bool bool => visit_bool,
        deserialize_i8 i64 => visit_i64,
        deserialize_i16 i64 => visit_i64,
        deserialize_i32 i64 => visit_i64,
        deserialize_i64 i64 => visit_i64,
        deserialize_u8 u64 => visit_u64,
        deserialize_u16 u64 => visit_u64,
        deserialize_u32 u64 => visit_u64,
        deserialize_u64 u64 => visit_u64,
        deserialize_f32 f64 => visit_f64,
        deserialize_f64 f64 => visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // A key of several types takes a list or a table as TOML, anything else as text.
        if let Value::Variable(text) = &self.value {
            match text.trim_start().chars().next() {
                Some('[') => return self.deserialize_seq(visitor),
                Some('{') => return self.deserialize_map(visitor),
                _ => {}
            }
        }
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = self.visit(visitor);
        self.fault(result)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != SECRET {
            return visitor.visit_newtype_struct(self);
        }
        match &self.value {
            Value::Text(text) | Value::Variable(text) => visitor.visit_str(text),
            _ => Err(Fault::Placed(Box::new(Error {
                origin: self.origin.clone(),
                ..Error::secret(self.path.clone(), "a string")
            }))),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_structure(visitor, |value| matches!(value, Value::List(_)), &[])
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_structure(visitor, |value| matches!(value, Value::Table(_)), &[])
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.visit_structure(visitor, |value| matches!(value, Value::Table(_)), fields)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match &self.value {
            Value::Text(text) | Value::Variable(text) => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            _ => Err(self.faulty(&visitor)),
        };
        self.fault(result)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct
        ignored_any
    }
}

/// The elements of a list.
struct Elements<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.0
            .next()
            .map(|node| {
                let result = seed.deserialize(node);
                node.fault(result)
            })
            .transpose()
    }
}

/// Whether a key is a field that is no group.
fn is_one_of(fields: &[&str], key: &str) -> bool {
    !key.starts_with(GROUP) && fields.contains(&key)
}

/// The entries of a table.
struct Entries<'a, I: Iterator<Item = (&'a String, &'a Node)>> {
    rest: I,
    value: Option<&'a Node>,
}

impl<'a, 'de, I: Iterator<Item = (&'a String, &'a Node)>> MapAccess<'de> for Entries<'a, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((key, node)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(node);
        seed.deserialize(key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(node) => {
                let result = seed.deserialize(node);
                node.fault(result)
            }
            None => Err(Fault::Custom("a value without a key".to_owned())),
        }
    }
}

/// The entries of a table that are fields of its type, then its groups; what is neither is an error.
struct WithGroups<'a> {
    node: &'a Node,
    table: &'a BTreeMap<String, Node>,
    own: Entries<'a, std::vec::IntoIter<(&'a String, &'a Node)>>,
    /// Of which the groups are still to come.
    fields: std::slice::Iter<'static, &'static str>,
    /// Fields of the type, and of the groups that have been read.
    known: RefCell<Vec<&'static str>>,
    /// Whether the next value is a group.
    group: bool,
}

impl<'de> MapAccess<'de> for WithGroups<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if self.own.rest.len() > 0 {
            return self.own.next_key_seed(seed);
        }
        self.group = true;
        if let Some(group) = self.fields.find(|field| field.starts_with(GROUP)) {
            return seed.deserialize((*group).into_deserializer()).map(Some);
        }
        let known = self.known.borrow();
        match self.table.keys().find(|key| !is_one_of(&known, key)) {
            None => Ok(None),
            Some(key) => Err(Fault::Unknown {
                key: key.clone(),
                known: known
                    .iter()
                    .copied()
                    .filter(|field| !field.starts_with(GROUP))
                    .collect(),
            }),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.group {
            false => self.own.next_value_seed(seed),
            true => {
                let result = seed.deserialize(Group {
                    table: self.table,
                    known: &self.known,
                });
                self.node.fault(result)
            }
        }
    }
}

/// Those entries of a table that are fields of a group.
struct Group<'a> {
    table: &'a BTreeMap<String, Node>,
    known: &'a RefCell<Vec<&'static str>>,
}

impl<'de> de::Deserializer<'de> for Group<'_> {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.known.borrow_mut().extend(fields);
        visitor.visit_map(Entries {
            rest: self.table.iter().filter(|(key, _)| is_one_of(fields, key)),
            value: None,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::Custom("a group of keys is a struct".to_owned()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
