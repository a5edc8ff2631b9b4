//! G.711: companding of 16-bit samples to octets by table (ITU-T G.711, tables 1a to 2b).

/// The two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// mu-law: PCMU.
    Mu,
    /// A-law: PCMA.
    A,
}

impl Law {
    /// The octet of silence.
    pub const fn silence(self) -> u8 {
        match self {
            Law::Mu => 0xff,
            Law::A => 0xd5,
        }
    }

    const fn decoder(self) -> &'static [i16; 256] {
        match self {
            Law::Mu => &MU_DECODE,
            Law::A => &A_DECODE,
        }
    }
}

/// Appends one sample for each octet of `payload`.
pub fn decode(law: Law, payload: &[u8], samples: &mut Vec<i16>) {
    let table = law.decoder();
    samples.extend(payload.iter().map(|code| table[usize::from(*code)]));
}

/// Appends one octet for each sample.
pub fn encode(law: Law, samples: &[i16], payload: &mut Vec<u8>) {
    match law {
        Law::Mu => payload.extend(
            samples
                .iter()
                .map(|sample| MU_ENCODE[usize::from(*sample as u16 >> 2)]),
        ),
        Law::A => payload.extend(
            samples
                .iter()
                .map(|sample| A_ENCODE[usize::from(*sample as u16 >> 4)]),
        ),
    }
}

// A constant function cannot take a function to call, so a macro names it.
macro_rules! decode_table {
    ($decode:ident) => {{
        let mut table = [0_i16; 256];
        let mut code = 0;
        while code < 256 {
            table[code] = $decode(code as u8);
            code += 1;
        }
        table
    }};
}

static MU_DECODE: [i16; 256] = decode_table!(mu_decode);
static A_DECODE: [i16; 256] = decode_table!(a_decode);
// The laws look at the upper 14 and 12 bits of a sample only, so the tables are no longer.
static MU_ENCODE: [u8; 1 << 14] = {
    let mut table = [0; 1 << 14];
    let mut index = 0;
    while index < table.len() {
        table[index] = mu_encode(((index as u16) << 2) as i16);
        index += 1;
    }
    table
};
static A_ENCODE: [u8; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut index = 0;
    while index < table.len() {
        table[index] = a_encode(((index as u16) << 4) as i16);
        index += 1;
    }
    table
};

/// Table 2a/2b: sign, three bits of segment, four of interval, all inverted; the decision
/// values are offset by 33 on a 14-bit scale.
const fn mu_encode(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = (if negative { !sample } else { sample } >> 2) as u16 + 33;
    let magnitude = if magnitude > 0x1fff {
        0x1fff
    } else {
        magnitude
    };
    let segment = magnitude.ilog2() as u16 - 5;
    let interval = (magnitude >> (segment + 1)) & 0x0f;
    let code = (segment << 4 | interval) as u8;
    !code & if negative { 0x7f } else { 0xff }
}

const fn mu_decode(code: u8) -> i16 {
    let code = !code;
    let segment = (code >> 4) & 0x07;
    let magnitude = ((((code & 0x0f) as i16) << 3) + 0x84) << segment;
    let magnitude = magnitude - 0x84;
    if code & 0x80 != 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// Table 1a/1b: sign, three bits of segment, four of interval, even bits inverted.
const fn a_encode(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = (if negative { !sample } else { sample } >> 4) as u16;
    let code = if magnitude < 32 {
        magnitude as u8
    } else {
        let segment = magnitude.ilog2() as u16 - 3;
        (segment << 4 | ((magnitude >> (segment - 1)) & 0x0f)) as u8
    };
    (code | if negative { 0 } else { 0x80 }) ^ 0x55
}

const fn a_decode(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4) & 0x07;
    let interval = ((code & 0x0f) as i16) << 4;
    let magnitude = match segment {
        0 => interval + 8,
        _ => (interval + 0x108) << (segment - 1),
    };
    if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(law: Law, samples: &[i16]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(law, samples, &mut out);
        out
    }

    #[test]
    fn the_corner_values_are_those_of_the_recommendation() {
        // Table 2a: the virtual decision value 8159 (14 bit) is code 0x80, 0 is 0xff.
        assert_eq!(
            codes(Law::Mu, &[0, 32_767, -1, -32_768]),
            [0xff, 0x80, 0x7f, 0x00]
        );
        // Table 1a: 4096 (13 bit) is 0x80 ^ 0x7f with even bits inverted: 0xaa; 0 is 0xd5.
        assert_eq!(
            codes(Law::A, &[0, 32_767, -1, -32_768]),
            [0xd5, 0xaa, 0x55, 0x2a]
        );
        let mut samples = Vec::new();
        decode(Law::Mu, &[0xff, 0x80, 0x7f, 0x00], &mut samples);
        decode(Law::A, &[0xd5, 0xaa, 0x55, 0x2a], &mut samples);
        assert_eq!(samples, [0, 32_124, 0, -32_124, 8, 32_256, -8, -32_256]);
    }

    #[test]
    fn every_code_decodes_to_a_sample_that_encodes_to_it() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255 {
                let mut sample = Vec::new();
                decode(law, &[code], &mut sample);
                // mu-law has two zeros; the negative one comes back positive.
                let expected = if law == Law::Mu && code == 0x7f {
                    0xff
                } else {
                    code
                };
                assert_eq!(codes(law, &sample), [expected], "{law:?} {code:#x}");
            }
        }
    }

    #[test]
    fn a_sample_gets_one_of_the_nearest_codes() {
        for law in [Law::Mu, Law::A] {
            let table = law.decoder();
            for sample in (i16::MIN..=i16::MAX).step_by(37) {
                let code = codes(law, &[sample])[0];
                let error = |value: i16| (i32::from(value) - i32::from(sample)).abs();
                let nearest = table.iter().map(|value| error(*value)).min();
                let own = error(table[usize::from(code)]);
                // Where a segment begins the intervals double, and the decision value lies a
                // quarter of the wider one off the middle of the two neighbours.
                let nearest = nearest.expect("256 values");
                assert!(own <= 2 * nearest + 8, "{law:?} {sample}: {own} {nearest}");
            }
        }
    }
}
