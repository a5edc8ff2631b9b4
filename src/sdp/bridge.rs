//! The decisions that need to know both sides of a call.

use crate::codec::{AudioFormat, Codec};

use super::{BrowserOffer, BrowserPolicy, Error, PbxOffer, TrunkPolicy};

/// The codecs that the browser offered and its policy allows, in the policy's order. An error
/// where there are none: ask this before the PBX is called.
pub fn common_browser_codecs(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
) -> Result<Vec<Codec>, Error> {
    let _ = (offer, browser);
    unimplemented!()
}

/// Whether every codec in the list is G.711, so that nothing above 4 kHz will ever be heard:
/// the `narrowband` of [`super::browser::answer`] and [`super::browser::offer`].
pub fn is_narrowband(codecs: &[Codec]) -> bool {
    codecs.iter().all(|codec| codec.clock_rate() == 8_000)
}

/// The browser's codec, when it does not depend on what the PBX will answer: then the browser
/// can be answered at once, and ICE and DTLS are done while the phone rings.
pub fn browser_codec_is_settled(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
    trunk: &TrunkPolicy,
) -> Option<Codec> {
    let _ = (offer, browser, trunk);
    unimplemented!()
}

/// The codec that goes first in the browser's answer once the PBX has answered. Hand it to
/// [`super::browser::answer`] as it is.
pub fn preferred_browser_codec(
    offer: &BrowserOffer,
    browser: &BrowserPolicy,
    pbx: &AudioFormat,
    trunk: &TrunkPolicy,
) -> Option<Codec> {
    let _ = (offer, browser, pbx, trunk);
    unimplemented!()
}

/// Browser calls: the codecs to offer to the PBX, in order; they go into
/// [`TrunkPolicy::codecs`] of [`super::pbx::offer`].
pub fn offer_to_pbx(browser: &BrowserOffer, trunk: &TrunkPolicy) -> Vec<Codec> {
    let _ = (browser, trunk);
    unimplemented!()
}

/// PBX calls: the codecs to offer to the browser, in order; they go into
/// [`BrowserPolicy::codecs`] of [`super::browser::offer`].
pub fn offer_to_browser(
    pbx: &PbxOffer,
    browser: &BrowserPolicy,
    trunk: &TrunkPolicy,
) -> Vec<Codec> {
    let _ = (pbx, browser, trunk);
    unimplemented!()
}

/// PBX calls: the codecs to answer the PBX with once the browser has answered, in order; they
/// go into [`TrunkPolicy::codecs`] of [`super::pbx::answer`], which takes the first that was
/// offered.
pub fn answer_to_pbx(browser: &AudioFormat, trunk: &TrunkPolicy) -> Vec<Codec> {
    let _ = (browser, trunk);
    unimplemented!()
}
