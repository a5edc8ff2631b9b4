//! Lists and parameters in the values of headers (RFC 3261 section 25.1): what stands between
//! commas and semicolons outside quotes and angle brackets.

/// The elements of a list: what stands between commas outside quotes and angle brackets.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_comma(text);
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
    .filter(|element| !element.is_empty())
}

/// The same, collected.
pub fn split_list(text: &str) -> Vec<&str> {
    list(text).collect()
}

fn find_comma(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped, mut bracket) = (false, false, false);
    text.bytes().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !bracket => quoted = !quoted,
            b'<' if !quoted => bracket = true,
            b'>' if !quoted => bracket = false,
            b',' => return !quoted && !bracket,
            _ => {}
        }
        false
    })
}

/// The pairs of `;name=value;name`, as they stand.
pub fn params_of(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find_outside_quotes(text, ';');
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
    .filter(|part| !part.is_empty())
    .map(|part| match part.split_once('=') {
        Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
        None => (part, None),
    })
}

/// The value of the first parameter of that name; empty for one without a value.
pub fn param_of<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params_of(params)
        .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.unwrap_or(""))
}

/// Splits `;name=value;name` into pairs with lower-case names.
pub fn split_params(text: &str) -> Vec<(String, Option<String>)> {
    params_of(text)
        .map(|(name, value)| (name.to_ascii_lowercase(), value.map(str::to_owned)))
        .collect()
}

/// Byte position of the first `wanted`, an ASCII character, that stands outside quotes.
pub fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            octet => return !quoted && char::from(octet) == wanted,
        }
        false
    })
}
