//! What configuration says about codecs: to whom which is offered, in which order.

use std::net::IpAddr;

use crate::codec::Codec;
use crate::srtp_keys::CryptoSuite;

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

/// The address families that we have RTP addresses of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpFamilies {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl RtpFamilies {
    /// Both.
    pub const BOTH: RtpFamilies = RtpFamilies {
        ipv4: true,
        ipv6: true,
    };

    /// That of one address.
    pub const fn of(ip: IpAddr) -> Self {
        RtpFamilies {
            ipv4: ip.is_ipv4(),
            ipv6: ip.is_ipv6(),
        }
    }

    /// Those of several addresses.
    pub fn of_all(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut families = RtpFamilies {
            ipv4: false,
            ipv6: false,
        };
        for ip in addresses {
            families.ipv4 |= ip.is_ipv4();
            families.ipv6 |= ip.is_ipv6();
        }
        families
    }

    /// Whether audio can go to that address. Nothing goes to an unspecified one (a hold of RFC
    /// 2543), so its family does not matter.
    pub const fn reach(self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.ipv4 || ip.is_unspecified(),
            IpAddr::V6(ip) => self.ipv6 || ip.is_unspecified(),
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
    /// The clocks of the events that are offered, hertz; 48000 only beside Opus. Where both are
    /// there, 8000 is used: Asterisk counts the other one by 8000 too.
    pub event_clocks: Vec<u32>,
    /// Whether the audio is encrypted by keys in the description (RFC 4568).
    pub srtp: SrtpMode,
    /// The suites that are offered, best first, and accepted.
    pub crypto_suites: Vec<CryptoSuite>,
    /// Whether offers name the profile with feedback (RFC 4585), of which we send none beyond
    /// receiver reports. An answer has the profile of its offer.
    pub avpf: bool,
    /// The address families that audio of the PBX may have.
    pub families: RtpFamilies,
}

impl Default for TrunkPolicy {
    fn default() -> Self {
        TrunkPolicy {
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            ptime: 20,
            prefer_passthrough: false,
            telephone_event: true,
            event_clocks: vec![8_000],
            srtp: SrtpMode::Off,
            crypto_suites: CryptoSuite::ALL.to_vec(),
            avpf: false,
            families: RtpFamilies::BOTH,
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
