//! Where frames begin in what a client sends (RFC 6455 section 5.2), so that each of them counts:
//! the WebSocket library tells complete messages only, and one message may have frames without end.

/// Octets of a masking key (RFC 6455 section 5.3).
const MASKING_KEY: u64 = 4;

/// What the next octet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// The first of a frame: opcode.
    #[default]
    Begin,
    /// The second: mask bit and length.
    Length,
    /// One of `left` octets of an extended length, whose first octets said `length`.
    ExtendedLength {
        left: u8,
        length: u64,
        masking_key: u64,
    },
    /// One of `left` octets of masking key and payload.
    Rest { left: u64 },
}

/// The position in a stream of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramePosition(Next);

impl FramePosition {
    /// Goes on by `octets` and asks `admit` for each frame that begins. Gives how many octets stand
    /// before the frame that was not admitted; all of them where there is none.
    pub(super) fn advance(&mut self, octets: &[u8], mut admit: impl FnMut() -> bool) -> usize {
        let mut at = 0;
        while let Some(octet) = octets.get(at).copied() {
            self.0 = match self.0 {
                Next::Begin => {
                    if !admit() {
                        return at;
                    }
                    Next::Length
                }
                Next::Length => {
                    let masking_key = if octet & 0x80 == 0 { 0 } else { MASKING_KEY };
                    match octet & 0x7f {
                        126 => extended(2, masking_key),
                        127 => extended(8, masking_key),
                        length => rest(u64::from(length), masking_key),
                    }
                }
                Next::ExtendedLength {
                    left,
                    length,
                    masking_key,
                } => {
                    let length = length << 8 | u64::from(octet);
                    if left > 1 {
                        Next::ExtendedLength {
                            left: left - 1,
                            length,
                            masking_key,
                        }
                    } else {
                        rest(length, masking_key)
                    }
                }
                Next::Rest { left } => {
                    let here = octets.len() - at;
                    let passed = usize::try_from(left).map_or(here, |left| left.min(here));
                    at += passed;
                    // No more than `left`.
                    self.0 = rest(left - passed as u64, 0);
                    continue;
                }
            };
            at += 1;
        }
        octets.len()
    }
}

const fn extended(left: u8, masking_key: u64) -> Next {
    Next::ExtendedLength {
        left,
        length: 0,
        masking_key,
    }
}

const fn rest(length: u64, masking_key: u64) -> Next {
    match length.saturating_add(masking_key) {
        0 => Next::Begin,
        left => Next::Rest { left },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![first];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => frame.push(mask | short),
            (_, Ok(long)) => {
                frame.push(mask | 126);
                frame.extend(long.to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // What looks like the begin of an empty frame.
        let rest = length + if masked { 4 } else { 0 };
        frame.extend([0x80, 0x00].iter().cycle().take(rest));
        frame
    }

    fn begins(octets: &[u8], piece: usize) -> usize {
        let mut position = FramePosition::default();
        let mut count = 0;
        for piece in octets.chunks(piece) {
            let accepted = position.advance(piece, || {
                count += 1;
                true
            });
            assert_eq!(accepted, piece.len());
        }
        count
    }

    #[test]
    fn frames_of_all_lengths_are_counted_however_the_stream_is_cut() {
        let mut octets = Vec::new();
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 0, 0];
        for length in lengths {
            for masked in [false, true] {
                octets.extend(frame(0x81, masked, length));
            }
        }
        for piece in [1, 2, 3, 7, 1_000, octets.len()] {
            assert_eq!(begins(&octets, piece), 2 * lengths.len(), "{piece}");
        }
    }

    #[test]
    fn frame_that_is_not_admitted_ends_the_octets_before_it() {
        let octets = [frame(0x01, true, 0), frame(0x00, true, 0)].concat();
        let mut admitted = 1;
        let mut position = FramePosition::default();
        let accepted = position.advance(&octets, || {
            admitted -= 1;
            admitted >= 0
        });
        assert_eq!(accepted, 6);
    }

    #[test]
    fn frame_of_the_greatest_length_has_no_end() {
        let octets = [&[0x82, 0xff][..], &[0xff; 8], &[0; 1_000]].concat();
        assert_eq!(begins(&octets, 5), 1);
    }
}
