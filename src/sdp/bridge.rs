//! The decisions that need to know both sides of a call.

use crate::codec::{AudioFormat, Codec};

use super::policy::distinct;
use super::{
    BrowserOffer, BrowserPolicy, Error, MediaKind, OfferedCodec, PbxOffer, Section, TrunkPolicy,
};

/// How one side's list of sections maps onto the other's: the first section of a kind that was agreed on
/// with the browser is joined with the first one that was agreed on with the PBX, wherever they stand in
/// their lists. Sections without a counterpart are rejected in their place.
pub fn joined<'a>(
    browser: &'a [Section],
    pbx: &'a [Section],
    kind: &MediaKind,
) -> Option<(&'a AudioFormat, &'a AudioFormat)> {
    let agreed = |sections: &'a [Section]| {
        sections
            .iter()
            .filter(|section| section.kind == *kind)
            .find_map(|section| section.format.as_ref())
    };
    Some((agreed(browser)?, agreed(pbx)?))
}

/// The codecs that the browser offered and its policy allows, in the policy's order. An error
/// where there are none: ask this before the PBX is called.
pub fn common_browser_codecs(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
) -> Result<Vec<Codec>, Error> {
    common(&offer.codecs, &browser.codecs)
}

/// The codecs that the PBX offered and its trunk's policy allows, in the policy's order. An
/// error where there are none: ask this before the browser is called.
pub fn common_pbx_codecs(offer: &PbxOffer, trunk: &TrunkPolicy) -> Result<Vec<Codec>, Error> {
    common(&offer.codecs, &trunk.codecs)
}

/// The highest audio rate of the codecs that the PBX's side may use, hertz: nothing above half of
/// it will ever be heard. For [`super::jsep::answer`] and [`super::jsep::offer`].
pub fn audio_rate(pbx_side: &[Codec]) -> u32 {
    let rates = pbx_side.iter().map(|codec| codec.format().audio_rate);
    // Where none is named, G.711 is offered.
    rates.max().unwrap_or(Codec::Pcmu.format().audio_rate)
}

/// The browser's codec, when it does not depend on what the PBX will answer: then the browser
/// can be answered at once, and ICE and DTLS are done while the phone rings.
pub fn browser_codec_is_determined(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
    trunk: &TrunkPolicy,
) -> Option<Codec> {
    let common = common_browser_codecs(offer, browser).ok()?;
    let mut outcomes = trunk.codecs.iter().map(|pbx| choose(&common, *pbx, trunk));
    let first = outcomes.next()??;
    outcomes
        .all(|outcome| outcome == Some(first))
        .then_some(first)
}

/// The codec that goes first in the browser's answer once the PBX has answered. Hand it to
/// [`super::jsep::answer`] as it is. `None` where browser and policy share nothing.
pub fn preferred_browser_codec(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
    pbx: &AudioFormat,
    trunk: &TrunkPolicy,
) -> Option<Codec> {
    let common = common_browser_codecs(offer, browser).ok()?;
    choose(&common, pbx.send.codec, trunk)
}

/// Browser calls: the codecs to offer to the PBX, in order; they go into
/// [`TrunkPolicy::codecs`] of [`super::offer_answer::offer`]. The trunk's order; with
/// `prefer_passthrough` what the browser can do too goes first.
pub fn offer_to_pbx(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
    trunk: &TrunkPolicy,
) -> Vec<Codec> {
    let shared = common_browser_codecs(offer, browser).unwrap_or_default();
    shared_first(&trunk.codecs, &shared, trunk)
}

/// PBX calls: the codecs to offer to the browser, in order; they go into
/// [`BrowserPolicy::codecs`] of [`super::jsep::offer`]. The browser policy's order; with
/// `prefer_passthrough` what the PBX can do too goes first.
pub fn offer_to_browser(
    offer: &PbxOffer,
    browser: &BrowserPolicy,
    trunk: &TrunkPolicy,
) -> Vec<Codec> {
    let shared = common_pbx_codecs(offer, trunk).unwrap_or_default();
    shared_first(&browser.codecs, &shared, trunk)
}

/// PBX calls: the milliseconds of audio in a packet to ask the browser for, where `browser` is the
/// policy of the offer to it. Where its first codec passes to the PBX untouched, what the PBX wants
/// of it; else the policy's.
pub fn ptime_for_browser(offer: &PbxOffer, browser: &BrowserPolicy, trunk: &TrunkPolicy) -> u8 {
    let offered = |codec: &&Codec| offer.codecs.iter().any(|it| it.codec == **codec);
    let untouched = browser
        .codecs
        .first()
        .filter(|_| trunk.prefer_passthrough)
        .filter(offered);
    untouched.map_or(browser.ptime, |codec| {
        offer.packet_time(*codec, browser.ptime)
    })
}

/// PBX calls: the codecs to answer the PBX with once the browser has answered, in order; they
/// go into [`TrunkPolicy::codecs`] of [`super::offer_answer::answer`], which takes the first that was
/// offered. The trunk's order; with `prefer_passthrough` the browser's codec goes first.
pub fn answer_to_pbx(browser: &AudioFormat, trunk: &TrunkPolicy) -> Vec<Codec> {
    shared_first(&trunk.codecs, &[browser.send.codec], trunk)
}

/// What an offer and a policy share, in the policy's order.
fn common(offered: &[OfferedCodec], policy: &[Codec]) -> Result<Vec<Codec>, Error> {
    let mut common = distinct(policy, &[]);
    common.retain(|codec| offered.iter().any(|offered| offered.codec == *codec));
    match common.is_empty() {
        true => Err(Error::no_common_codec(offered)),
        false => Ok(common),
    }
}

/// The browser's codec when the PBX uses `pbx`.
fn choose(common: &[Codec], pbx: Codec, trunk: &TrunkPolicy) -> Option<Codec> {
    let shared = trunk.prefer_passthrough && common.contains(&pbx);
    if shared {
        Some(pbx)
    } else {
        common.first().copied()
    }
}

/// `order`, with what is `shared` moved to its front where the trunk wants that.
fn shared_first(order: &[Codec], shared: &[Codec], trunk: &TrunkPolicy) -> Vec<Codec> {
    let mut codecs = distinct(order, &[]);
    if trunk.prefer_passthrough {
        // The sort is stable: within both halves the order stays.
        codecs.sort_by_key(|codec| !shared.contains(codec));
    }
    codecs
}
