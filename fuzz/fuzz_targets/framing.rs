//! A byte stream: its frames do not depend on how it was cut, and nothing is held beyond the
//! limits. The first byte chooses the cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::sip::{Frame, Framer};

const LIMIT: usize = 2_048;

fn frames(stream: &[u8], cut: usize) -> (Vec<Frame>, bool) {
    let mut framer = Framer::new(LIMIT);
    let mut frames = Vec::new();
    for piece in stream.chunks(cut) {
        framer.push(piece);
        loop {
            match framer.poll() {
                Ok(Some(frame)) => {
                    if let Frame::Message(bytes) = &frame {
                        assert!(bytes.len() <= 2 * LIMIT);
                    }
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(_) => return (frames, false),
            }
        }
    }
    (frames, true)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else {
        return;
    };
    let whole = frames(stream, stream.len().max(1));
    let cut = frames(stream, usize::from(*cut).max(1));
    // A head over the limit is noticed when the buffer passes it, which depends on the cut: the
    // frames before it do not.
    let common = whole.0.len().min(cut.0.len());
    assert_eq!(whole.0[..common], cut.0[..common]);
    if whole.1 && cut.1 {
        assert_eq!(whole.0, cut.0);
    }
});
