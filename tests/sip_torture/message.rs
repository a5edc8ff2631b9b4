//! The fixtures, written as RFC 4475 section 2 writes them, and the values of a message by name.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use trunkline::sip::{
    Address, Envelope, Headers, Incoming, Message, Name, Response, split_list, user_of,
};

/// What a user agent made of a message.
#[derive(Default)]
pub struct Seen {
    pub incoming: Option<Incoming>,
    pub response: Option<Response>,
    pub rejected: Option<&'static str>,
    pub held: usize,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rfc4475")
}

/// Names of all fixtures.
pub fn names() -> Vec<String> {
    fs::read_dir(folder())
        .expect("the fixtures are there")
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".txt").map(str::to_owned))
        .collect()
}

/// The bytes of a message: `<allOneLine>`, `<repeat count=N>` and `<hex>` taken out, lines ended
/// by CRLF.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.txt"));
    let text = fs::read_to_string(path).expect("the fixture is text");
    let text = replace(&text, "<allOneLine>\n", "</allOneLine>\n", |_, inner| {
        format!("{}\n", inner.replace('\n', "")).into_bytes()
    });
    let text = String::from_utf8(text).expect("still text");
    let text = replace(&text, "<repeat count=", "</repeat>", |_, inner| {
        let (count, repeated) = inner.split_once('>').expect("a count");
        let count = count.parse().expect("a number");
        repeated.repeat(count).into_bytes()
    });
    let text = String::from_utf8(text).expect("still text");
    replace(
        &text.replace('\n', "\r\n"),
        "<hex>",
        "</hex>",
        |_, inner| {
            let digits: Vec<u8> = inner.bytes().filter(u8::is_ascii_hexdigit).collect();
            assert!(digits.len().is_multiple_of(2), "{inner}");
            digits
                .chunks(2)
                .map(|pair| {
                    let pair = std::str::from_utf8(pair).expect("digits");
                    u8::from_str_radix(pair, 16).expect("digits")
                })
                .collect()
        },
    )
}

fn replace(text: &str, open: &str, close: &str, with: impl Fn(usize, &str) -> Vec<u8>) -> Vec<u8> {
    let (mut done, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(open) {
        let inner = &rest[start + open.len()..];
        let end = inner.find(close).expect("what opens closes");
        done.extend_from_slice(&rest.as_bytes()[..start]);
        done.extend(with(start, &inner[..end]));
        rest = &inner[end + close.len()..];
    }
    done.extend_from_slice(rest.as_bytes());
    done
}

/// A value of a message, or of what came of it; `-` when there is none.
pub fn look_up(key: &str, bytes: &Bytes, seen: &Seen) -> String {
    value(key, bytes, seen).unwrap_or_else(|| "-".to_owned())
}

fn value(key: &str, bytes: &Bytes, seen: &Seen) -> Option<String> {
    if let Some(name) = key.strip_prefix("answer ") {
        let headers = &seen.response.as_ref()?.headers;
        return match name {
            "vias" => Some(vias(headers).to_string()),
            _ => first(headers, name),
        };
    }
    if let Some(name) = key.strip_prefix("call ") {
        let incoming = seen.incoming.as_ref()?;
        return match name {
            "request user" => Some(incoming.request_user.clone()),
            "to user" => Some(incoming.to_user.clone()),
            "from user" => Some(incoming.from_user.clone()),
            "from name" => incoming.from_name.clone(),
            "sdp bytes" => Some(incoming.body.as_ref()?.len().to_string()),
            _ => panic!("{key}"),
        };
    }
    let received = Message::read(bytes).ok();
    if key == "fault" {
        return Some(match received {
            None => "unreadable".to_owned(),
            Some(received) => format!("{:?}", received.fault),
        });
    }
    let received = received?;
    let headers = match &received.message {
        Message::Request(request) => &request.headers,
        Message::Response(response) => &response.headers,
    };
    match (key, &received.message) {
        ("method", Message::Request(request)) => return Some(request.method.to_string()),
        ("uri", Message::Request(request)) => return Some(request.uri.clone()),
        ("uri user", Message::Request(request)) => return Some(user_of(&request.uri)),
        ("status", Message::Response(response)) => return Some(response.status.to_string()),
        ("reason", Message::Response(response)) => return Some(response.reason.clone()),
        ("body bytes", Message::Request(request)) => return Some(request.body.len().to_string()),
        ("body bytes", Message::Response(response)) => {
            return Some(response.body.len().to_string());
        }
        ("body start", Message::Request(request)) => {
            let text = String::from_utf8_lossy(&request.body);
            return Some(text.lines().take(5).collect::<Vec<_>>().join("|"));
        }
        ("vias", _) => return Some(vias(headers).to_string()),
        _ => {}
    }
    if let Some(name) = key.strip_prefix("header ") {
        return first(headers, name);
    }
    if let Some(name) = key.strip_prefix("count ") {
        return Some(headers.get_raw(&Name::from(name)).count().to_string());
    }
    for (who, name) in [
        ("from ", Name::FROM),
        ("to ", Name::TO),
        ("contact ", Name::CONTACT),
    ] {
        if let Some(what) = key.strip_prefix(who) {
            let values: Vec<&str> = headers
                .get_raw(&name)
                .flat_map(|value| split_list(value))
                .collect();
            let (at, what) = match what.strip_prefix("2 ") {
                Some(what) => (1, what),
                None => (0, what),
            };
            // From and To are no lists: their commas belong to them.
            let whole = headers.get_raw(&name).next()?;
            let text = if name == Name::CONTACT {
                values.get(at)?
            } else {
                whole.as_str()
            };
            let address = Address::parse(text).ok()?;
            return match what {
                "name" => address.name.clone(),
                "uri" => Some(address.uri.clone()),
                "user" => Some(user_of(&address.uri)),
                "tag" => address.tag().map(str::to_owned),
                param => address.param(param).map(str::to_owned),
            };
        }
    }
    let envelope = Envelope::read(headers);
    if key == "envelope" {
        return Some(match envelope {
            Ok(_) => "readable".to_owned(),
            Err(bad) => bad.to_string(),
        });
    }
    let envelope = envelope.ok()?;
    match key {
        "branch" => Some(envelope.branch.to_string()),
        "sent-by" => Some(match envelope.sent_by_port {
            Some(port) => format!("{}:{port}", envelope.sent_by_host),
            None => envelope.sent_by_host.to_string(),
        }),
        "cseq" => Some(format!("{} {}", envelope.sequence, envelope.method)),
        "call-id" => Some(envelope.call_id.to_string()),
        _ => panic!("no value is called {key}"),
    }
}

fn first(headers: &Headers, name: &str) -> Option<String> {
    let value = headers.get_raw(&Name::from(name)).next()?;
    Some(value.trim().to_owned())
}

fn vias(headers: &Headers) -> usize {
    headers
        .get_raw(&Name::VIA)
        .map(|value| split_list(value).len())
        .sum()
}
