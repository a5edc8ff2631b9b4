//! Framing: however the stream is split, the same frames come out.

use proptest::prelude::*;

use crate::sip::stack::framing::{Frame, Framer, FramingError};

const STREAM: &str = "\r\n\r\nOPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc\r\n\r\n\r\n\
    BYE sip:b SIP/2.0\r\nContent-Length\r\n : 0\r\n\r\n\
    INFO sip:c SIP/2.0\nContent-Length : 2\n\nxy\
    MESSAGE sip:d SIP/2.0\r\nSubject: no length\r\n\r\n\
    OPTIONS sip:e SIP/2.0\r\nContent-Length: 200\r\n\r\n";

fn frames(chunks: impl Iterator<Item = Vec<u8>>, limit: usize) -> Vec<Result<Frame, FramingError>> {
    let mut framer = Framer::new(limit);
    let mut found = Vec::new();
    for chunk in chunks {
        framer.push(&chunk);
        loop {
            match framer.poll() {
                Ok(Some(frame)) => found.push(Ok(frame)),
                Ok(None) => break,
                Err(error) => {
                    found.push(Err(error));
                    return found;
                }
            }
        }
    }
    found
}

fn whole_stream() -> Vec<u8> {
    let mut stream = STREAM.as_bytes().to_vec();
    stream.extend([b'z'; 200]);
    stream.extend(b"BYE sip:f SIP/2.0\r\nContent-Length: 0\r\n\r\n");
    stream
}

#[test]
fn split_at_any_byte() {
    let stream = whole_stream();
    let whole = frames(std::iter::once(stream.clone()), 100);
    let messages = whole
        .iter()
        .filter(|frame| matches!(frame, Ok(Frame::Message(_))))
        .count();
    assert_eq!(messages, 5);
    assert_eq!(
        whole.iter().filter(|f| **f == Ok(Frame::KeepAlive)).count(),
        2
    );
    assert_eq!(
        whole.iter().filter(|f| **f == Ok(Frame::Oversized)).count(),
        1
    );
    for at in 0..=stream.len() {
        let (left, right) = stream.split_at(at);
        let split = frames([left.to_vec(), right.to_vec()].into_iter(), 100);
        assert_eq!(split, whole, "split at byte {at}");
    }
    let single = frames(stream.iter().map(|byte| vec![*byte]), 100);
    assert_eq!(single, whole);
}

#[test]
fn lengths_that_cannot_be_known_end_the_stream_after_the_head() {
    for length in [
        "Content-Length: -1",
        "Content-Length: 1x",
        "Content-Length: 1\r\nl: 2",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
    ] {
        let stream = format!("BYE sip:b SIP/2.0\r\n{length}\r\n\r\nBYE");
        let found = frames(std::iter::once(stream.into_bytes()), 1_000);
        assert!(matches!(found[0], Ok(Frame::Message(_))), "{length}");
        assert_eq!(found[1], Err(FramingError::UnknownLength), "{length}");
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let found = frames((0..40).map(|_| b"X: y\r\n".to_vec()), 100);
    assert_eq!(found, [Err(FramingError::HeadTooLong(100))]);
    let found = frames(
        std::iter::once(b"BYE sip:b SIP/2.0\r\nl: 4000000000\r\n\r\n".to_vec()),
        100,
    );
    assert_eq!(found, [Err(FramingError::BodyTooLong(4_000_000_000))]);
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'l'), Just(b'1'), any::<u8>()], 0..300),
        cuts in proptest::collection::vec(1usize..20, 1..60),
    ) {
        let whole = frames(std::iter::once(bytes.clone()), 64);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        let split = frames(pieces.into_iter(), 64);
        prop_assert_eq!(split, whole);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = crate::sip::stack::message::Message::read(&bytes.into());
    }
}
