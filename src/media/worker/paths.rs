//! The two directions of a call's audio, and the RTCP reports on them that wait to be sent.

use std::time::Instant;

use super::bridge_config::BridgeConfig;
use crate::codec::AudioFormat;
use crate::media::Error;
use crate::media::pipeline::Pipeline;
use crate::rtp::{ReportBlock, write_bye};

/// A report that waits to be polled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    now: Instant,
    block: Option<ReportBlock>,
    bye: bool,
}

impl Report {
    /// Writes the report of what `path` sends, in place of what `out` holds.
    pub(super) fn write(self, path: &mut Pipeline, config: &BridgeConfig, out: &mut Vec<u8>) {
        out.clear();
        let ntp = config.clock.at(self.now);
        path.sender_report(self.now, ntp, self.block.as_ref(), &config.cname, out);
        if self.bye {
            write_bye(out, path.ssrc());
        }
    }

    /// The part of what was sent to us that did not come, 0 to 1.
    fn loss(&self) -> f32 {
        self.block
            .map_or(0.0, |block| f32::from(block.fraction_lost) / 256.0)
    }
}

/// The two directions of audio.
#[derive(Debug)]
pub(super) struct Paths {
    pub(super) to_pbx: Pipeline,
    pub(super) to_browser: Pipeline,
    /// Bit n: payload type n was negotiated with the browser, with the PBX.
    pub(super) browser_payload_types: u128,
    pub(super) pbx_payload_types: u128,
    pub(super) report_to_browser: Option<Report>,
    pub(super) report_to_pbx: Option<Report>,
}

impl Paths {
    /// Both begin with these formats.
    pub(super) fn new(
        config: &BridgeConfig,
        browser: &AudioFormat,
        pbx: &AudioFormat,
    ) -> Result<Self, Error> {
        Ok(Paths {
            to_pbx: Pipeline::new(&config.path, browser, pbx, config.to_pbx)?,
            to_browser: Pipeline::new(&config.path, pbx, browser, config.to_browser)?,
            browser_payload_types: payload_types(browser),
            pbx_payload_types: payload_types(pbx),
            report_to_browser: None,
            report_to_pbx: None,
        })
    }

    /// Both go on with other formats.
    pub(super) fn reconfigure(
        &mut self,
        browser: &AudioFormat,
        pbx: &AudioFormat,
    ) -> Result<(), Error> {
        self.to_pbx.reconfigure(browser, pbx)?;
        self.to_browser.reconfigure(pbx, browser)?;
        self.browser_payload_types = payload_types(browser);
        self.pbx_payload_types = payload_types(pbx);
        Ok(())
    }

    /// Makes a report for each side, the last one with a BYE. Gives the loss, 0 to 1, of what the
    /// browser and of what the PBX sends.
    pub(super) fn report(&mut self, now: Instant, bye: bool) -> (f32, f32) {
        let about = |block| Report { now, block, bye };
        let about_browser = about(self.to_pbx.reception_report(now));
        let about_pbx = about(self.to_browser.reception_report(now));
        self.report_to_browser = Some(about_browser);
        self.report_to_pbx = Some(about_pbx);
        (about_browser.loss(), about_pbx.loss())
    }
}

/// What may arrive from a side, as a set of bits.
fn payload_types(format: &AudioFormat) -> u128 {
    let audio = format.receive.iter().map(|receive| receive.payload_type);
    let events = format.receive_events.iter().map(|event| event.payload_type);
    audio
        .chain(events)
        .fold(0, |set, payload_type| set | 1 << (payload_type & 0x7f))
}
