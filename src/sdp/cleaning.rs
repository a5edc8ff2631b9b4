//! The pass before the parser: brings what the field writes to what RFC 8866 allows.
//!
//! Only `v`, `s`, `c`, `t`, `m` and `a` say something to us. Every other line is left out, so that
//! no form of it can cost a call, and what is wrong in a media section that is not used stays in
//! that section. What is wrong in the section that is used is kept in a form that the reader of
//! that section refuses: nothing is guessed.
//!
//! Seen in the field: `o=` with blanks in the user name, seven fields, versions that are negative
//! or beyond 64 bits; `m=` without formats; bytes that are not UTF-8 in `s=` and `i=`; a NUL or a
//! byte order mark around the text; line ends of any kind; several blanks or tabs between fields.

use std::fmt::Write as _;

use super::Error;

/// The format list of a media line that has none: no codec, so the section is never used.
pub(super) const NO_FORMATS: &str = "*";

/// What stands for a field that is missing. It is a token of RFC 8866, so that the line keeps its
/// place, and means nothing to the reader.
const MISSING: &str = "-";

/// Writes the text again with the lines that the reader needs, each as RFC 8866 has it. An error
/// where no line is one of a session description, or where its version is not 0.
pub(super) fn clean(text: &[u8]) -> Result<String, Error> {
    let text = String::from_utf8_lossy(text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut session = Session::default();
    let mut version = None;
    let mut any = false;
    for (index, line) in lines(text).enumerate() {
        let Some((key, value)) = split(line) else {
            continue;
        };
        any = true;
        match key {
            'v' if version.is_none() => version = Some((index + 1, value.to_owned())),
            's' if session.name.is_empty() => session.name = blanks(value),
            'c' => session.connection(value),
            'm' => session.sections.push(format!("m={}\r\n", media(value))),
            'a' => session.attribute(value),
            _ => {}
        }
    }
    let malformed = |line: usize, reason: &str| Error::Malformed {
        line,
        reason: reason.to_owned(),
    };
    match version {
        _ if !any => Err(malformed(1, "not a session description")),
        Some((line, version)) if version != "0" => Err(malformed(line, "version is not 0")),
        _ => Ok(session.written()),
    }
}

/// The lines that are kept, each with its line end.
#[derive(Default)]
struct Session {
    name: String,
    /// `c=` of the session; the first counts.
    connection: String,
    attributes: String,
    sections: Vec<String>,
}

impl Session {
    fn connection(&mut self, value: &str) {
        let line = format!("c={}\r\n", connection(value));
        match self.sections.last_mut() {
            Some(section) => section.push_str(&line),
            None if self.connection.is_empty() => self.connection = line,
            None => {}
        }
    }

    fn attribute(&mut self, value: &str) {
        let value = blanks(value);
        let (name, rest) = match value.split_once(':') {
            Some((name, rest)) => (name.trim_end(), Some(rest.trim_start())),
            None => (value.as_str(), None),
        };
        if name.is_empty() {
            return;
        }
        let level = self.sections.last_mut().unwrap_or(&mut self.attributes);
        // Writing into a text cannot fail.
        let _ = match rest {
            Some(rest) => write!(level, "a={name}:{rest}\r\n"),
            None => write!(level, "a={name}\r\n"),
        };
    }

    fn written(self) -> String {
        let name = match self.name.as_str() {
            "" => MISSING,
            name => name,
        };
        // Nothing that is read depends on the origin: a re-offer counts by what it says, not by
        // its version (some move the media without counting up).
        let head = format!("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns={name}\r\n");
        let times = "t=0 0\r\n".to_owned();
        let parts = [head, self.connection, times, self.attributes];
        parts.into_iter().chain(self.sections).collect()
    }
}

/// The `c=` lines of a text, each as [`clean`] writes it, without its line end.
pub(super) fn connection_lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    lines(&text)
        .filter_map(split)
        .filter(|(key, _)| *key == 'c')
        .map(|(_, value)| format!("c={}", connection(value)))
        .collect()
}

/// The lines, with any kind of line end. A CRLF is one, so that lines can be counted. A CR alone ends
/// lines where it ends the first one; elsewhere it stands in a value, where none may be, and the rest
/// of that line is left out: it must not begin a section of its own. So is what follows a NUL.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let first_end = text.find(['\r', '\n']).map_or("", |at| &text[at..]);
    let by_cr = !first_end.trim_start_matches('\r').starts_with('\n');
    let parts = if by_cr { usize::MAX } else { 1 };
    text.split('\n').flat_map(move |line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let lines = line.split('\r').take(parts);
        lines.map(|line| line.split('\0').next().unwrap_or_default())
    })
}

/// `x=value`, with blanks around either.
fn split(line: &str) -> Option<(char, &str)> {
    let line = line.trim();
    let key = line.chars().next().filter(char::is_ascii_lowercase)?;
    let value = line.get(1..)?.trim_start().strip_prefix('=')?;
    Some((key, value.trim()))
}

/// With one blank between words.
fn blanks(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A field without characters that a token cannot have; one that is missing or has nothing left
/// is a dash.
fn token(field: Option<&str>) -> String {
    let kept: String = field
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_graphic)
        .collect();
    match kept.is_empty() {
        true => MISSING.to_owned(),
        false => kept,
    }
}

/// `<nettype> <addrtype> <connection-address>`; what follows says nothing.
fn connection(value: &str) -> String {
    let mut fields = value.split_whitespace();
    let mut next = || token(fields.next());
    let (network, family, address) = (next(), next(), next());
    let word = |text: &str| {
        let letters = text.chars().filter(|c| c.is_ascii_alphanumeric());
        let letters: String = letters.collect();
        token(Some(&letters))
    };
    format!("{} {} {address}", word(&network), word(&family))
}

/// `<media> <port> <proto> <fmt> ...`. A port that is none is 0: the section is not used, and
/// keeps its place (RFC 3264 section 6). The number of ports (RFC 8866 section 5.14) is left out.
fn media(value: &str) -> String {
    let mut fields = value.split_whitespace();
    let media = token(fields.next());
    let port = fields.next().and_then(port).unwrap_or(0);
    let proto = token(fields.next());
    let formats: Vec<_> = fields.map(|format| token(Some(format))).collect();
    let formats = match formats.is_empty() {
        true => NO_FORMATS.to_owned(),
        false => formats.join(" "),
    };
    format!("{media} {port} {proto} {formats}")
}

/// `4000` or `4000/2`.
fn port(field: &str) -> Option<u16> {
    let port = field.split('/').next()?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &[u8]) -> String {
        clean(text).expect("a session description")
    }

    #[test]
    fn cr_in_a_value_begins_no_line() {
        let expected = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
            m=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n";
        for text in [
            "v=0\r\ns=x\rm=\r\nr=\rm=\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\rc=x\r\n",
            "v=0\ns=x\rm=audio 1 RTP/AVP 0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\na=ptime:20\n",
            "v=0\r\r\ns=x\rm=\r\r\nc=IN IP4 192.0.2.1\r\r\nm=audio 4000 RTP/AVP 0\r\r\na=ptime:20\r\r\n",
        ] {
            assert_eq!(cleaned(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn only_the_lines_that_are_read_are_left() {
        let text = b"v=0\r\no=MX ONE -1 99999999999999999999 IN IP4 x y z\r\ns=Gespr\xe4ch\r\n\
            i=\xff\r\nu=\r\ne=\r\np=\r\nb=AS:-1\r\nb=x\r\nt=now later\r\nr=1\r\nz=x\r\nk=\r\n\
            c=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.2\r\na=sendrecv\r\n\
            m=audio 4000/2 RTP/AVP 0\r\ni=\xfe\r\nb=AS:64:1\r\nk=prompt:x:y\r\na=ptime:20\r\n";
        assert_eq!(
            cleaned(text),
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=Gespr\u{fffd}ch\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             a=sendrecv\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n"
        );
    }

    #[test]
    fn line_ends_marks_and_blanks_of_any_kind_are_read() {
        let expected = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
            m=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n";
        for text in [
            "v=0\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0 8\na=rtpmap:0 PCMU/8000",
            "v=0\rc=IN IP4 192.0.2.1\rm=audio 4000 RTP/AVP 0 8\ra=rtpmap:0 PCMU/8000\r",
            "\u{feff}v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n\0",
            "\r\nv=0 \r\n\r\nc= IN  IP4\t192.0.2.1 \r\n m = audio  4000 RTP/AVP 0  8 \r\na=rtpmap: 0 \t PCMU/8000\r\n\0\0\r\n",
            "c=IN IP4 192.0.2.1 x\r\nv=0\r\nnonsense\r\nm=audio 4000 RTP/AVP 0 8\r\na=\r\na=:x\r\na=rtpmap :0 PCMU/8000\r\n",
        ] {
            assert_eq!(cleaned(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_media_line_keeps_its_place_whatever_it_lacks() {
        for (line, written) in [
            ("m=video 0 RTP/AVP", "m=video 0 RTP/AVP *"),
            ("m=application 9 TCP/MRCPv2", "m=application 9 TCP/MRCPv2 *"),
            ("m=video 99999 RTP/AVP 31", "m=video 0 RTP/AVP 31"),
            ("m=video -1 RTP/AVP 31", "m=video 0 RTP/AVP 31"),
            ("m=video + RTP/AVP 31", "m=video 0 RTP/AVP 31"),
            ("m=video /2 RTP/AVP 31", "m=video 0 RTP/AVP 31"),
            ("m=audio 4000", "m=audio 4000 - *"),
            ("m=", "m=- 0 - *"),
            ("m=\u{fe0f} 1 \u{e9} \u{e9}", "m=- 1 - -"),
        ] {
            let text = cleaned(format!("v=0\r\n{line}\r\n").as_bytes());
            assert!(text.ends_with(&format!("t=0 0\r\n{written}\r\n")), "{text}");
        }
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for text in ["", "\u{1}\u{2}v=0", "hello", "V=0\r\n", "\0\0"] {
            let error = clean(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains("not a session description"), "{error}");
        }
        let error = clean(b"s=-\r\nv=1\r\n").expect_err("no such version");
        assert!(error.to_string().contains("line 2: version is not 0"));
    }
}
