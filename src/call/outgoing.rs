//! A page calls the PBX: from its offer to the PBX's 2xx.

use std::time::Instant;

use super::EndReason;
use super::established::{Basis, Established};
use super::machine::{Call, Local, Rules, State, Step, refused_offer};
use super::message::{Action, Event, Notice};
use crate::codec::{AudioFormat, Codec, Direction};
use crate::sdp::{self, bridge};

/// What exists while the PBX has not answered.
#[derive(Debug)]
pub(super) struct Calling {
    offer: sdp::BrowserOffer,
    pbx_offer: sdp::LocalOffer,
    /// What we agreed on with the browser, once it has its one answer.
    browser: Option<AudioFormat>,
    /// What the PBX last agreed to, in a provisional answer.
    pbx: Option<AudioFormat>,
    told: Told,
    pub(super) ring_deadline: Instant,
}

/// What the page knows of the progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Ringing,
    EarlyMedia,
}

impl Call {
    /// Begins a call from a page's offer.
    pub fn outgoing(rules: Rules, local: Local, offer: &str, now: Instant) -> Self {
        let mut call = Call::new(rules, local);
        // Without a codec that the browser may use nobody's telephone should ring.
        let parsed = sdp::Offer::parse(offer)
            .and_then(|offer| sdp::browser::read_offer(&offer))
            .and_then(|offer| {
                bridge::common_browser_codecs(&offer, &call.rules.browser).map(|_| offer)
            });
        let offer = match parsed {
            Ok(offer) => offer,
            Err(error) => {
                call.notify(Notice::Refused {
                    code: "bad-offer",
                    message: error.to_string(),
                });
                let reason = refused_offer(&error, EndReason::BadOffer);
                call.settle(Step::End(reason, None));
                return call;
            }
        };
        let mut trunk = call.rules.trunk.clone();
        trunk.codecs = bridge::offer_to_pbx(&offer, &call.rules.browser, &call.rules.trunk);
        let pbx_offer = sdp::pbx::offer(
            call.local.rtp,
            &trunk,
            call.local.pbx_session,
            Direction::SendRecv,
        );
        let settled =
            bridge::browser_codec_is_settled(&offer, &call.rules.browser, &call.rules.trunk);
        call.connect_peer(offer.transport.clone(), now);
        let mut calling = Calling {
            ring_deadline: now + call.rules.ring_timeout,
            offer,
            pbx_offer,
            browser: None,
            pbx: None,
            told: Told::Nothing,
        };
        // Where nothing that the PBX may say changes the browser's codec, the browser is answered
        // at once: ICE and DTLS are through before anybody picks up.
        if let Some(codec) = settled
            && let Err(reason) = calling.answer_browser(&mut call, Some(codec))
        {
            call.settle(Step::End(reason, None));
            return call;
        }
        call.push(Action::Invite {
            offer: calling.pbx_offer.offer.to_string(),
        });
        call.begin(State::Calling(Box::new(calling)));
        call
    }
}

impl Calling {
    pub(super) fn has_media(&self) -> bool {
        self.browser.is_some() && self.pbx.is_some()
    }

    pub(super) fn handle(
        mut self: Box<Self>,
        call: &mut Call,
        event: Event,
        _now: Instant,
    ) -> Step {
        match event {
            Event::Progressed { status, sdp } => {
                if let Some(sdp) = sdp {
                    // A provisional answer that cannot be used leaves the call ringing: the
                    // final one may be better.
                    if self.take_answer(call, &sdp).is_ok() && self.told != Told::EarlyMedia {
                        self.told = Told::EarlyMedia;
                        call.notify(Notice::EarlyMedia);
                    }
                } else if status == 180 && self.told == Told::Nothing {
                    self.told = Told::Ringing;
                    call.notify(Notice::Ringing);
                }
                Step::Stay(State::Calling(self))
            }
            Event::Accepted { sdp } => {
                if let Some(sdp) = sdp
                    && let Err(reason) = self.take_answer(call, &sdp)
                {
                    return Step::End(reason, None);
                }
                let (Some(browser), Some(pbx)) = (self.browser.take(), self.pbx.take()) else {
                    return Step::End(EndReason::BadPbxDescription, None);
                };
                call.notify(Notice::Answered);
                let established = Established::new(browser, pbx, Basis::Ours(self.pbx_offer));
                Step::Stay(State::Established(Box::new(established)))
            }
            Event::Refused {
                status,
                cause,
                from_pbx,
            } => Step::End(
                EndReason::from_refusal(status, cause),
                from_pbx.then_some(status),
            ),
            _ => Step::Stay(State::Calling(self)),
        }
    }

    /// Takes a description from the PBX, the first or a later one: the browser's answer stays,
    /// only the RTP side is pointed elsewhere.
    fn take_answer(&mut self, call: &mut Call, sdp: &str) -> Result<(), EndReason> {
        let (remote, pbx) = sdp::Answer::parse(sdp)
            .and_then(|answer| sdp::pbx::read_answer(&self.pbx_offer, &answer))
            .map_err(|error| {
                call.notify(Notice::Refused {
                    code: "bad-pbx-description",
                    message: error.to_string(),
                });
                EndReason::BadPbxDescription
            })?;
        if self.browser.is_none() {
            let codec = bridge::preferred_browser_codec(
                &self.offer,
                &call.rules.browser,
                &pbx,
                &call.rules.trunk,
            );
            self.answer_browser(call, codec)?;
        }
        if let Some(browser) = &self.browser {
            call.point_rtp(&remote);
            call.push(Action::SetFormats {
                browser: Box::new(browser.clone()),
                pbx: Box::new(pbx.clone()),
            });
        }
        self.pbx = Some(pbx);
        Ok(())
    }

    fn answer_browser(&mut self, call: &mut Call, codec: Option<Codec>) -> Result<(), EndReason> {
        let answered = sdp::browser::answer(
            &self.offer,
            &call.local.description,
            &call.rules.browser,
            codec,
            bridge::is_narrowband(&call.rules.trunk.codecs),
            call.local.browser_session,
            Direction::SendRecv,
        );
        match answered {
            Ok((answer, format)) => {
                self.browser = Some(format);
                call.notify(Notice::Answer {
                    sdp: answer.to_string(),
                });
                Ok(())
            }
            Err(error) => {
                call.notify(Notice::Refused {
                    code: "bad-offer",
                    message: error.to_string(),
                });
                Err(refused_offer(&error, EndReason::BadOffer))
            }
        }
    }
}
