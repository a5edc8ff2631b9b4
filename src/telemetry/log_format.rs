//! How values get into a log line: what is not printable is escaped, so that no value can begin a
//! line of its own or command a terminal.

use std::borrow::Cow;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// How a line writes characters that are not printable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    /// `\u{1b}`.
    Text,
    /// The same, but the formatter's own colours pass: values have no escape character left then.
    Terminal,
    /// `\u001b`, as inside a string of JSON (RFC 8259 section 7).
    Json,
}

/// Control characters of C0 and C1, line and paragraph separators, and those that change the
/// direction of text.
const fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Escaping {
    /// A line of the formatter, which ends with the one line feed that it may have.
    pub(super) fn line(self, line: &[u8]) -> Cow<'_, [u8]> {
        let text = String::from_utf8_lossy(line);
        let (body, end) = match text.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (text.as_ref(), ""),
        };
        let escapes = |c: char| is_unsafe(c) && !(c == '\x1b' && self == Escaping::Terminal);
        if !body.contains(escapes) && matches!(text, Cow::Borrowed(_)) {
            return Cow::Borrowed(line);
        }
        let mut out = String::with_capacity(text.len() + 16);
        for c in body.chars() {
            // A String takes everything.
            let _ = match (escapes(c), self) {
                (false, _) => out.write_char(c),
                (true, Escaping::Json) => write!(out, "\\u{:04x}", u32::from(c)),
                (true, _) => write_escaped(&mut out, c),
            };
        }
        out.push_str(end);
        Cow::Owned(out.into_bytes())
    }
}

fn write_escaped(out: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// Passes text on with everything unsafe escaped.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (plain, from) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = from.chars();
            if let Some(c) = characters.next() {
                write_escaped(self.0, c)?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// The fields of an event as text: `name=value`, the message without its name. A value that is empty
/// or has white space, a quote or `=` in it is quoted, so that none looks like another field.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor {
            writer,
            is_first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct TextVisitor<'w> {
    writer: Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn write(&mut self, field: &Field, value: &dyn Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        match field.name() {
            "message" => {}
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
            }
            name => write!(self.writer, "{name}=")?,
        }
        let mut writer = Escaped(&mut self.writer);
        if field.name() == "message" {
            return write!(writer, "{value:?}");
        }
        // Whether a value was recorded by Display or by Debug is not known here: its text decides.
        let text = format!("{value:?}");
        match is_one_token(&text) || is_quoted(&text) {
            true => writer.write_str(&text),
            false => write!(writer, "{text:?}"),
        }
    }
}

/// True for a value that needs no quotes: no other field can seem to begin in it.
fn is_one_token(text: &str) -> bool {
    let separates = |c: char| c.is_whitespace() || matches!(c, '"' | '=');
    !text.is_empty() && !text.contains(separates)
}

/// True for a text in quotes that ends with the quote that closes it.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return false;
    };
    let mut is_escaped = false;
    for c in inner.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return false,
            _ => {}
        }
    }
    !is_escaped
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Of records of the crate log: where they come from, which the line says anyway.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.write(field, value);
        }
    }
}

/// Dependencies that may log below `info`. None of them writes what it carries. Others may:
/// tungstenite writes whole messages of clients at `trace`, with passwords and tokens. One that is
/// not in this list logs `info` and above, whatever the filter says.
const VERBOSE: [&str; 4] = ["rustls", "hickory_", "rtc_dtls", "mio"];

/// Whether a line of this target and level may be written at all.
pub(super) fn is_permitted(target: &str, level: tracing::Level) -> bool {
    let is_own = target
        .strip_prefix("trunkline")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    level <= tracing::Level::INFO
        || is_own
        || VERBOSE.iter().any(|prefix| target.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that were seen to forge lines, or to command a terminal.
    const HOSTILE: [&str; 7] = [
        "x\n2026-01-01T00:00:00Z  INFO trunkline: call ended call=99",
        "x\r\n2026-01-01T00:00:00Z  INFO forged",
        "x\u{2028}2026 INFO forged",
        "x\u{85}2026 INFO forged",
        "\x1b[2J\x1b[31mred",
        "\u{9b}31mred",
        "\u{202e}desrever\x07\x7f\0",
    ];

    fn is_safe(line: &str) -> bool {
        line.ends_with('\n') && !line[..line.len() - 1].contains(is_unsafe)
    }

    #[test]
    fn hostile_values_stay_on_one_printable_line() {
        for value in HOSTILE {
            let line = format!("2026 INFO called={value}\n");
            let text = Escaping::Text.line(line.as_bytes());
            assert!(
                is_safe(std::str::from_utf8(&text).expect("text")),
                "{value:?}"
            );
            let line = format!("{{\"called\":\"{}\"}}\n", value.replace('\\', ""));
            let json = Escaping::Json.line(line.as_bytes());
            let json = std::str::from_utf8(&json).expect("text");
            assert!(is_safe(json), "{value:?}");
            let read: serde_json::Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(read["called"], value);
        }
    }

    /// Lines that are formatted within `of`.
    fn lines(of: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("no panic").extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let written = Lines::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .fmt_fields(TextFields)
            .finish();
        tracing::subscriber::with_default(subscriber, of);
        let bytes = written.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn value_like_other_fields_is_quoted() {
        for (value, expected) in [
            (
                "1 reason=\"hangup-remote\" user=boss call=99",
                r#""1 reason=\"hangup-remote\" user=boss call=99""#,
            ),
            ("a user=boss", r#""a user=boss""#),
            ("a\u{a0}b", r#""a\u{a0}b""#),
            ("a\tcall=99", r#""a\tcall=99""#),
            ("user=boss", r#""user=boss""#),
            ("a\"b", r#""a\"b""#),
            ("", r#""""#),
            ("\"a\" user=\"b\"", r#""\"a\" user=\"b\"""#),
            ("\"a\\\" user=b", r#""\"a\\\" user=b""#),
            ("\"", r#""\"""#),
            // One token, or a text in quotes already.
            ("sip:a@b;x", "sip:a@b;x"),
            ("192.0.2.1:5060", "192.0.2.1:5060"),
            ("\"a b\"", r#""a b""#),
        ] {
            let line =
                lines(|| tracing::info!(from = %value, to = "600", call = 7, "call started"));
            let expected = format!("call started from={expected} to=\"600\" call=7\n");
            assert!(line.ends_with(&expected), "{value:?}: {line}");
        }
    }

    #[test]
    fn value_recorded_by_debug_is_quoted_once() {
        let line = lines(|| {
            let (uri, cause, why) = ("sip:a b@c", Some(16), Some("x y=1"));
            tracing::info!(?uri, ?cause, ?why, text = "a b", "m");
        });
        let expected = r#"m uri="sip:a b@c" cause=Some(16) why="Some(\"x y=1\")" text="a b""#;
        assert!(line.ends_with(&format!("{expected}\n")), "{line}");
    }

    #[test]
    fn plain_lines_are_not_copied() {
        let line = "2026 INFO user=\"Zo\u{eb}\" 電話\n".as_bytes();
        assert!(matches!(Escaping::Text.line(line), Cow::Borrowed(_)));
    }

    #[test]
    fn dependencies_that_log_what_they_carry_stay_at_info() {
        use tracing::Level;
        assert!(is_permitted("trunkline::sip", Level::TRACE));
        assert!(is_permitted("rustls::client", Level::TRACE));
        assert!(is_permitted("tungstenite::protocol", Level::INFO));
        for target in [
            "tungstenite::protocol",
            "tungstenite::protocol::frame",
            "tokio_tungstenite",
            "hyper::proto::h1",
            "axum::rejection",
            "trunkline_other",
        ] {
            assert!(!is_permitted(target, Level::DEBUG), "{target}");
            assert!(!is_permitted(target, Level::TRACE), "{target}");
        }
    }
}
