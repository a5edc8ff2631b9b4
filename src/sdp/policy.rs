//! What configuration says about codecs: to whom which is offered, in which order.

use crate::codec::Codec;
use crate::protection::CryptoSuite;

/// How the gateway describes itself to browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserPolicy {
    /// The codecs that a browser may use, best first. What is not here is neither offered nor
    /// accepted.
    pub codecs: Vec<Codec>,
    /// Milliseconds of audio in a packet that we would like: `a=ptime`.
    pub ptime: u8,
    /// Whether digits may be sent as RFC 4733 events.
    pub telephone_event: bool,
}

impl Default for BrowserPolicy {
    fn default() -> Self {
        BrowserPolicy {
            codecs: Codec::ALL.to_vec(),
            ptime: 20,
            telephone_event: true,
        }
    }
}

/// Whether the audio of a trunk is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SrtpMode {
    /// Never: what is offered with SRTP only is refused.
    #[default]
    Off,
    /// Where the PBX can: keys go beside plain RTP (RFC 8643), and the answer decides.
    Optional,
    /// Always: what is offered or answered without SRTP is refused.
    Required,
}

/// How the gateway describes itself to one PBX or trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkPolicy {
    /// The codecs that are offered to the PBX and accepted from it, best first.
    pub codecs: Vec<Codec>,
    /// Milliseconds of audio in a packet that we would like: `a=ptime`.
    pub ptime: u8,
    /// Whether a codec that both sides can do goes before a better one that must be
    /// transcoded. Costs about half the processor time, but G.711 to the browser has no
    /// forward error correction: a lossy access network is heard.
    pub prefer_passthrough: bool,
    /// Whether `telephone-event` (RFC 4733) is offered and accepted; without it digits go as
    /// tones in the audio.
    pub telephone_event: bool,
    /// Whether the audio is encrypted by keys in the description (RFC 4568).
    pub srtp: SrtpMode,
    /// The suites that are offered, best first, and accepted.
    pub crypto_suites: Vec<CryptoSuite>,
    /// Whether offers name the profile with feedback (RFC 4585), of which we send none beyond
    /// receiver reports. An answer has the profile of its offer.
    pub avpf: bool,
}

impl Default for TrunkPolicy {
    fn default() -> Self {
        TrunkPolicy {
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            ptime: 20,
            prefer_passthrough: false,
            telephone_event: true,
            srtp: SrtpMode::Off,
            crypto_suites: CryptoSuite::ALL.to_vec(),
            avpf: false,
        }
    }
}

/// A configured list without its repetitions; `fallback` where it is empty, since an audio
/// line without formats is no audio line. (The settings refuse an empty list.)
pub(super) fn distinct(codecs: &[Codec], fallback: &[Codec]) -> Vec<Codec> {
    let source = if codecs.is_empty() { fallback } else { codecs };
    let mut distinct = Vec::with_capacity(source.len());
    for codec in source {
        if !distinct.contains(codec) {
            distinct.push(*codec);
        }
    }
    distinct
}
