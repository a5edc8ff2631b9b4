//! A client calls the PBX: from its offer to the PBX's 2xx.

mod fallback;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

pub use fallback::TrunkAttempt;

use super::established::Established;
use super::{Call, Local, Rules, State, Step, refused_offer, warning};
use crate::call::EndReason;
use crate::call::browser_end::BrowserEnd;
use crate::call::ids::EndpointId;
use crate::call::message::{Action, Event, Notice, Side};
use crate::call::refusal::Refusal;
use crate::call::ringback::Ringback;
use crate::call::snapshot::{CallDirection, Parties};
use crate::codec::{Codec, Direction};
use crate::sdp::offer_answer::{Negotiation, OfferIn};
use crate::sdp::{self, bridge, jsep};

/// What exists while the PBX has not answered.
#[derive(Debug)]
pub(super) struct Calling {
    /// With the browser's offer, until it has its one answer.
    browser: jsep::Negotiation,
    /// With our offer, which each early dialog answers; without one where the PBX is to offer.
    pbx: Negotiation,
    /// Those with a session description, by fork.
    early_dialogs: BTreeMap<u32, EarlyDialog>,
    /// The one that the client hears.
    selected: Option<u32>,
    ringback: Ringback,
    /// Trunks that are asked where the present one cannot.
    ahead: VecDeque<TrunkAttempt>,
    ring_deadline: Instant,
}

/// The early dialog with one user agent that the INVITE reached: each has an agreement of its own.
#[derive(Debug)]
struct EarlyDialog {
    description: String,
    pbx: Negotiation,
}

/// What a client calls with.
#[derive(Clone, Debug)]
pub struct ClientOffer<'a> {
    /// The endpoint that calls.
    pub endpoint: EndpointId,
    /// Whom it calls, and as whom.
    pub parties: Parties,
    /// The JSEP offer.
    pub sdp: &'a str,
}

impl Call {
    /// Begins a call from a client's offer.
    pub fn outgoing(rules: Rules, local: Local, offer: ClientOffer<'_>, now: Instant) -> Self {
        let attached = BrowserEnd::Attached(offer.endpoint);
        let seen = (CallDirection::Outgoing, offer.parties);
        let mut call = Call::new(rules, local, seen, attached, now);
        // Without a codec that the browser may use no callee may ring.
        let mut browser = jsep::Negotiation::new();
        let read = sdp::Offer::parse(offer.sdp).and_then(|offer| {
            let offer = browser.set_remote_offer(&offer)?;
            bridge::common_browser_codecs(offer, &call.rules.browser)?;
            Ok(offer.transport.clone())
        });
        let transport = match read {
            Ok(transport) => transport,
            Err(error) => {
                call.notify(Notice::Refused {
                    refusal: Refusal::BadOffer,
                    message: error.to_string(),
                });
                let reason = refused_offer(&error, EndReason::BadOffer);
                call.settle(Step::End(reason, None));
                return call;
            }
        };
        call.connect_peer(transport, now);
        let mut calling = Calling {
            ring_deadline: now + call.rules.ring_timeout,
            browser,
            pbx: Negotiation::new(),
            early_dialogs: BTreeMap::new(),
            selected: None,
            ringback: Ringback::new(),
            ahead: VecDeque::new(),
        };
        calling.pbx = calling.offer_to_pbx(&call);
        if let Err(reason) = calling.answer_determined_browser(&mut call) {
            call.settle(Step::End(reason, None));
            return call;
        }
        calling.expect_early_media(&mut call);
        call.push(Action::Invite {
            offer: calling.written_offer(),
        });
        call.begin(State::Calling(Box::new(calling)));
        call
    }
}

impl Calling {
    /// When [`Calling::handle_timeout`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Instant {
        let ring = self.ringback.poll_timeout();
        ring.map_or(self.ring_deadline, |at| at.min(self.ring_deadline))
    }

    /// Time has passed.
    pub(super) fn handle_timeout(mut self: Box<Self>, call: &mut Call, now: Instant) -> Step {
        if self.ring_deadline <= now {
            return Step::End(EndReason::NoAnswer, None);
        }
        let notice = self.ringback.handle_timeout(now);
        notice.into_iter().for_each(|notice| call.notify(notice));
        Step::Stay(State::Calling(self))
    }

    /// The PBX's early audio has stopped, or begun again.
    pub(super) fn audio_changed(
        mut self: Box<Self>,
        call: &mut Call,
        silent: bool,
        now: Instant,
    ) -> State {
        let notice = match silent {
            true => self.ringback.audio_stopped(now),
            false => self.ringback.audio_began(),
        };
        notice.into_iter().for_each(|notice| call.notify(notice));
        State::Calling(self)
    }

    pub(super) fn has_media(&self) -> bool {
        self.browser.audio_format().is_some() && self.selected.is_some()
    }

    pub(super) fn handle(mut self: Box<Self>, call: &mut Call, event: Event, now: Instant) -> Step {
        match event {
            Event::Progressed { status, sdp, fork } => {
                let known = self
                    .early_dialogs
                    .get(&fork)
                    .map(|early_dialog| &early_dialog.description);
                let repeated = known.is_some() && known == sdp.as_ref();
                let described = match sdp {
                    Some(sdp) => self.take_description(call, fork, &sdp).map(|()| !repeated),
                    None => Ok(false),
                };
                let notice = match described {
                    Ok(true) => self.ringback.described(status, now),
                    // An offer that we refuse is the end of it.
                    Err(reason) if self.pbx.local_offer().is_none() => {
                        return Step::End(reason, None);
                    }
                    // An answer that cannot be used leaves the call ringing: the final one may be
                    // better.
                    Ok(false) | Err(_) => self.ringback.progressed(status, now),
                };
                notice.into_iter().for_each(|notice| call.notify(notice));
                Step::Stay(State::Calling(self))
            }
            Event::AudioBegan { from: Side::Pbx } => {
                let notice = self.ringback.audio_began();
                notice.into_iter().for_each(|notice| call.notify(notice));
                Step::Stay(State::Calling(self))
            }
            Event::ForkEnded { fork } => {
                self.early_dialogs.remove(&fork);
                if self.selected == Some(fork) {
                    self.selected = None;
                    if let Some(last) = self.early_dialogs.keys().next_back().copied() {
                        self.select(call, last);
                    }
                }
                Step::Stay(State::Calling(self))
            }
            Event::Reoffered {
                sdp: Some(sdp),
                fork: Some(fork),
            } => {
                match self.answer_offer(call, fork, &sdp) {
                    Ok(answer) => call.push(Action::AnswerReoffer { answer }),
                    Err(_) => {
                        let warning = call.warning.take();
                        call.push(Action::RefuseReoffer {
                            status: Refusal::BadPbxDescription.sip_status(),
                            warning,
                        });
                    }
                }
                Step::Stay(State::Calling(self))
            }
            Event::Accepted { sdp, fork } => {
                if let Some(sdp) = sdp
                    && let Err(reason) = self.take_final(call, fork, &sdp)
                {
                    return Step::End(reason, None);
                }
                if self.early_dialogs.contains_key(&fork) && self.selected != Some(fork) {
                    self.select(call, fork);
                }
                let early_dialog = self
                    .selected
                    .and_then(|fork| self.early_dialogs.remove(&fork));
                let Some(early_dialog) =
                    early_dialog.filter(|_| self.browser.audio_format().is_some())
                else {
                    return Step::End(EndReason::BadPbxDescription, None);
                };
                call.notify(Notice::Answered);
                let established = Established::new(call, self.browser, early_dialog.pbx);
                Step::Stay(State::Established(Box::new(established)))
            }
            Event::Refused {
                status,
                cause,
                from_pbx,
            } => self.refused(call, status, cause, from_pbx),
            _ => Step::Stay(State::Calling(self)),
        }
    }

    /// Takes a description in a provisional response, the first or a later one: the browser's
    /// answer stays, only the RTP side is pointed elsewhere.
    fn take_description(&mut self, call: &mut Call, fork: u32, sdp: &str) -> Result<(), EndReason> {
        if self.pbx.local_offer().is_some() {
            return self.take_answer(call, fork, sdp);
        }
        let answer = self.answer_offer(call, fork, sdp);
        call.push(Action::AnswerProgress {
            fork,
            answer: answer.as_ref().map_or(String::new(), Clone::clone),
        });
        answer.map(drop)
    }

    /// Takes the description of the 2xx.
    fn take_final(&mut self, call: &mut Call, fork: u32, sdp: &str) -> Result<(), EndReason> {
        if self.pbx.local_offer().is_some() {
            return self.take_answer(call, fork, sdp);
        }
        if self.early_dialogs.contains_key(&fork) {
            // Agreed on before.
            return Ok(());
        }
        let answer = self.answer_offer(call, fork, sdp)?;
        call.push(Action::Confirm { answer });
        Ok(())
    }

    fn take_answer(&mut self, call: &mut Call, fork: u32, sdp: &str) -> Result<(), EndReason> {
        match self.early_dialogs.get(&fork) {
            // Repeated, as user agents do to keep a provisional response alive; another one may be selected.
            Some(early_dialog) if early_dialog.description == sdp => return Ok(()),
            // What an UPDATE has changed since is not taken back by the answer before it.
            Some(early_dialog) if early_dialog.pbx.is_last_offer_remote() => return Ok(()),
            _ => {}
        }
        // Each early dialog has one offer and an exchange of its own (RFC 3261 section 13.2.2.4).
        let mut pbx = self.pbx.clone();
        sdp::Answer::parse(sdp)
            .and_then(|answer| pbx.accept_answer(OfferIn::Request, &answer))
            .map_err(|error| {
                call.notify(Notice::Refused {
                    refusal: Refusal::BadPbxDescription,
                    message: error.to_string(),
                });
                EndReason::BadPbxDescription
            })?;
        let early_dialog = EarlyDialog {
            description: sdp.to_owned(),
            pbx,
        };
        self.add(call, fork, early_dialog)
    }

    /// Answers an offer of the PBX, in an UPDATE before the call is answered or in place of ours.
    fn answer_offer(&mut self, call: &mut Call, fork: u32, sdp: &str) -> Result<String, EndReason> {
        let mut policy = call.rules.trunk.clone();
        policy.codecs = self.codecs_for_pbx(call);
        let session = match self.early_dialogs.is_empty() && self.pbx.local_offer().is_none() {
            true => call.local.pbx_session,
            false => call.local.pbx_session.next(),
        };
        let rtp = call.local.rtp;
        let mut pbx = Negotiation::new();
        let answer = sdp::Offer::parse(sdp)
            .and_then(|offer| pbx.set_remote_offer(&offer, &policy).map(drop))
            .and_then(|()| pbx.create_answer(rtp, &policy, session, Direction::SendRecv))
            .map_err(|error| {
                call.warning = warning(&error);
                refused_offer(&error, EndReason::BadPbxDescription)
            })?;
        call.warning = None;
        call.local.pbx_session = session;
        let early_dialog = EarlyDialog {
            description: sdp.to_owned(),
            pbx,
        };
        self.add(call, fork, early_dialog)?;
        Ok(answer.to_string())
    }

    /// An early dialog has a description: the client hears it from now on.
    fn add(
        &mut self,
        call: &mut Call,
        fork: u32,
        early_dialog: EarlyDialog,
    ) -> Result<(), EndReason> {
        if let (Some(offer), Some(format)) =
            (self.browser.remote_offer(), early_dialog.pbx.audio_format())
        {
            let codec = bridge::preferred_browser_codec(
                offer,
                &call.rules.browser,
                format,
                &call.rules.trunk,
            );
            // What passes untouched has the length that the PBX wants.
            let ptime = (codec == Some(format.send.codec)).then_some(format.send.ptime);
            self.answer_browser(call, codec, ptime)?;
        }
        self.early_dialogs.insert(fork, early_dialog);
        self.select(call, fork);
        Ok(())
    }

    /// Points the RTP side at this early dialog.
    fn select(&mut self, call: &mut Call, fork: u32) {
        if let Some(early_dialog) = self.early_dialogs.get(&fork)
            && self.browser.audio_format().is_some()
        {
            call.apply_media(&self.browser, &early_dialog.pbx);
            self.selected = Some(fork);
        }
    }

    /// What the PBX may use, by what the browser can or has been told.
    fn codecs_for_pbx(&self, call: &Call) -> Vec<Codec> {
        let (browser, trunk) = (&call.rules.browser, &call.rules.trunk);
        match (self.browser.audio_format(), self.browser.remote_offer()) {
            (Some(format), _) => bridge::answer_to_pbx(format, trunk),
            (None, Some(offer)) => bridge::offer_to_pbx(offer, browser, trunk),
            (None, None) => trunk.codecs.clone(),
        }
    }

    /// Where nothing that the PBX may say changes the browser's codec, the browser is answered at
    /// once: ICE and DTLS are through before anybody picks up.
    fn answer_determined_browser(&mut self, call: &mut Call) -> Result<(), EndReason> {
        let Some(offer) = self.browser.remote_offer() else {
            return Ok(());
        };
        let determined =
            bridge::browser_codec_is_determined(offer, &call.rules.browser, &call.rules.trunk);
        match determined {
            Some(codec) => self.answer_browser(call, Some(codec), None),
            None => Ok(()),
        }
    }

    /// RTP may come before the PBX describes itself, and is heard by the numbers of our offer
    /// (RFC 3264 section 5.1), where the browser has its answer.
    fn expect_early_media(&self, call: &mut Call) {
        let offer = self.pbx.local_offer();
        let pbx = offer.and_then(sdp::LocalOffer::unanswered);
        if let (Some(browser), Some(pbx)) = (self.browser.audio_format(), pbx) {
            call.push(Action::ExpectEarlyMedia {
                browser: Box::new(browser.clone()),
                pbx: Box::new(pbx),
            });
        }
    }

    /// Our offer as it is sent.
    fn written_offer(&self) -> Option<String> {
        let offer = self.pbx.local_offer()?;
        Some(offer.offer.to_string())
    }

    /// `ptime`: milliseconds of audio in a packet, where the policy's does not hold.
    fn answer_browser(
        &mut self,
        call: &mut Call,
        codec: Option<Codec>,
        ptime: Option<u8>,
    ) -> Result<(), EndReason> {
        let mut policy = call.rules.browser.clone();
        policy.ptime = ptime.unwrap_or(policy.ptime);
        let answered = self.browser.create_answer(&jsep::AnswerParameters {
            transport: &call.local.transport,
            policy: &policy,
            preferred: codec,
            audio_rate: bridge::audio_rate(&call.rules.trunk.codecs),
            session: call.local.browser_session,
            direction: Direction::SendRecv,
        });
        match answered {
            Ok(answer) => {
                let sdp = answer.to_string();
                call.keep_description(&sdp);
                call.notify(Notice::Answer { sdp });
                Ok(())
            }
            Err(error) => {
                call.notify(Notice::Refused {
                    refusal: Refusal::BadOffer,
                    message: error.to_string(),
                });
                Err(refused_offer(&error, EndReason::BadOffer))
            }
        }
    }
}
