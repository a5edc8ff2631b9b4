//! The headers of a message, in the order in which they stand there. Values are slices of what
//! arrived: reading a message copies none of them.

use bytesstr::BytesStr;

pub use super::name::Name;

/// Headers in order; a name may stand several times.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    fields: Vec<(Name, BytesStr)>,
}

/// What can be the value of a header.
pub trait Value {
    /// As it is written.
    fn written(self) -> BytesStr;
}

impl Value for BytesStr {
    fn written(self) -> BytesStr {
        self
    }
}

impl Value for &BytesStr {
    fn written(self) -> BytesStr {
        self.clone()
    }
}

impl Value for String {
    fn written(self) -> BytesStr {
        self.into()
    }
}

impl Value for &String {
    fn written(self) -> BytesStr {
        self.as_str().into()
    }
}

impl Value for &str {
    fn written(self) -> BytesStr {
        self.into()
    }
}

impl Value for u32 {
    fn written(self) -> BytesStr {
        self.to_string().into()
    }
}

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Headers::default()
    }

    /// No headers, and room for this many.
    pub fn with_capacity(capacity: usize) -> Self {
        Headers {
            fields: Vec::with_capacity(capacity),
        }
    }

    /// Adds a header after the others.
    pub fn insert(&mut self, name: impl Into<Name>, value: impl Value) {
        self.fields.push((name.into(), value.written()));
    }

    /// Adds a header before the others.
    pub fn insert_front(&mut self, name: impl Into<Name>, value: impl Value) {
        self.fields.insert(0, (name.into(), value.written()));
    }

    /// The values of a header, line by line as they stand.
    pub fn get_raw<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a BytesStr> + use<'a> {
        let name = name.clone();
        self.fields
            .iter()
            .filter(move |(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// The first value of a header, to be changed.
    pub fn first_mut(&mut self, name: &Name) -> Option<&mut BytesStr> {
        let mut fields = self.fields.iter_mut();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value)
    }

    /// True when there is such a header.
    pub fn contains(&self, name: &Name) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Takes every header of a name away and gives their values; `None` when there was none.
    pub fn remove(&mut self, name: &Name) -> Option<Vec<BytesStr>> {
        let removed: Vec<BytesStr> = self
            .fields
            .extract_if(.., |(field, _)| field == name)
            .map(|(_, value)| value)
            .collect();
        (!removed.is_empty()).then_some(removed)
    }

    /// Keeps those of these names, and no memory for others.
    pub fn keep(&mut self, names: &[Name]) {
        self.fields.retain(|(field, _)| names.contains(field));
        self.fields.shrink_to_fit();
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &BytesStr)> {
        self.fields.iter().map(|(name, value)| (name, value))
    }
}
