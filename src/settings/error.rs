//! What is wrong with a configuration: each error on one line, with file, line and key.

use std::fmt;

/// Characters of a value that an error shows.
const SHOWN_VALUE: usize = 80;

/// Where a key was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere: settings that were made by a program, or a default.
    #[default]
    Unknown,
    /// An environment variable, by its name.
    Variable(String),
    /// A file, without a line: it cannot be read, or the key is absent from it.
    File(String),
    /// A file and a line, counted from 1.
    Line(String, usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Unknown => Ok(()),
            Origin::Variable(name) => write!(f, "{name}: "),
            Origin::File(file) => write!(f, "{file}: "),
            Origin::Line(file, line) => write!(f, "{file}:{line}: "),
        }
    }
}

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text is not TOML, or cannot be read at all.
    Unreadable(String),
    /// There is no such key.
    UnknownKey {
        /// The key of that table that is written most alike, in full.
        nearest: Option<String>,
        /// The keys that the table has.
        known: Vec<String>,
    },
    /// A key that must be there is not.
    Missing {
        /// What it should be, in words.
        expected: String,
    },
    /// The value has another type, or cannot be meant.
    Unusable {
        /// As shown: a string in quotation marks, `***` for a secret.
        value: String,
        /// In words.
        expected: String,
    },
}

/// One error of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where the key was written.
    pub origin: Origin,
    /// The key with its table, `trunk[0].codecs`; empty where the whole file is not TOML.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Error {
    /// A value that cannot be meant. `value` is shown in quotation marks.
    pub fn value(key: impl Into<String>, value: &str, expected: impl Into<String>) -> Self {
        let expected = with_port_range(value, expected.into());
        Error::shown(key, shown(value), expected)
    }

    /// A secret that cannot be meant; its value is never shown.
    pub fn secret(key: impl Into<String>, expected: impl Into<String>) -> Self {
        Error::shown(key, "***".to_owned(), expected)
    }

    /// The same of a number, a boolean or anything else that is written without quotation marks.
    pub fn shown(key: impl Into<String>, value: String, expected: impl Into<String>) -> Self {
        Error {
            origin: Origin::Unknown,
            key: key.into(),
            problem: Problem::Unusable {
                value,
                expected: expected.into(),
            },
        }
    }

    /// A key that must be there and is not.
    pub fn missing(key: impl Into<String>, expected: impl Into<String>) -> Self {
        Error {
            origin: Origin::Unknown,
            key: key.into(),
            problem: Problem::Missing {
                expected: expected.into(),
            },
        }
    }

    /// A text that is not TOML, or a file that cannot be read.
    pub(super) fn unreadable(origin: Origin, why: &str) -> Self {
        let why: Vec<&str> = why.lines().map(str::trim).collect();
        Error {
            origin,
            key: String::new(),
            problem: Problem::Unreadable(why.join("; ")),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error {
            origin,
            key,
            problem,
        } = self;
        let key = key.escape_debug();
        match problem {
            Problem::Unreadable(why) if key.clone().next().is_none() => {
                write!(f, "{origin}{}", why.escape_debug())
            }
            Problem::Unreadable(why) => write!(f, "{origin}{key}: {}", why.escape_debug()),
            Problem::UnknownKey { nearest, known } => {
                write!(f, "{origin}{key}: unknown key, expected ")?;
                match nearest {
                    Some(nearest) => write!(f, "{nearest}"),
                    None => write!(f, "one of {}", known.join(", ")),
                }
            }
            Problem::Missing { expected } => {
                write!(f, "{origin}{key}: is missing, expected {expected}")
            }
            Problem::Unusable { value, expected } => {
                write!(
                    f,
                    "{origin}{key}: {value} is not usable, expected {expected}"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// A string as errors show it: in quotation marks, on one line, not endless.
pub(super) fn shown(value: &str) -> String {
    match value.char_indices().nth(SHOWN_VALUE) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// All errors of a configuration, in the order of its lines; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Errors(vec![error])
    }
}

/// Gathers errors where each is found, so that one does not hide the next.
#[derive(Debug, Default)]
pub struct Collector(Vec<Error>);

impl Collector {
    /// Adds an error.
    pub fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    /// The value, or none where it is an error that is kept.
    pub fn keep<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    /// The same of a result that may be several errors.
    pub fn keep_all<T>(&mut self, result: Result<T, Errors>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors.0)).ok()
    }

    /// All errors so far.
    pub fn into_errors(self) -> Vec<Error> {
        self.0
    }

    /// `value` where there is no error.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Errors> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Errors(self.0)),
        }
    }
}

/// What is expected of a value that holds a port, with the range where it is beyond that.
pub(super) fn with_port_range(value: &str, expected: String) -> String {
    let beyond = |part: &str| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && part[..digits].parse::<u16>().is_err()
    };
    if expected.contains("PORT") && value.split(':').skip(1).any(beyond) {
        return format!("{expected}, with a PORT from 0 to 65535");
    }
    expected
}
