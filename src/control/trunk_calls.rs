//! Intake of the calls that come from trunks: whose they are, limits, refusals.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: looks names up beside other calls, reads the clock"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::assembly::NewCall;
use super::call_control::CallControl;
use super::called;
use super::trunk_rules::TrunkRules;
use crate::call::{
    Call, CallRecord, CallerNames, Diverted, EndReason, Endpoints, Invitation, SIP_QUEUE, SipSide,
    body_text, has_names, refuse_invite, resolve_names, write_refused,
};
use crate::peer::Role;
use crate::{sdp, sip};

impl CallControl {
    /// Begins a call from a PBX, or refuses it. One whose description has names waits for their
    /// addresses, and no other call waits for it.
    pub async fn receive(self: &Arc<Self>, mut incoming: sip::Incoming) {
        let named = incoming.body.clone().filter(|body| has_names(body));
        let (Some(body), Ok(place)) = (named, Arc::clone(&self.look_ups).try_acquire_owned())
        else {
            return self.take(incoming).await;
        };
        let control = Arc::clone(self);
        tokio::spawn(async move {
            incoming.body = Some(resolve_names(&control.sip, &body).await);
            drop(place);
            control.take(incoming).await;
        });
    }

    async fn take(&self, incoming: sip::Incoming) {
        let leg = incoming.leg;
        let mut record = CallRecord::incoming(
            incoming.from_user.clone(),
            incoming.request_user.clone(),
            incoming.source,
            incoming.call_id.clone(),
        );
        if let Err(reason) = self.ring(incoming, &mut record).await {
            record.refuse(reason);
            write_refused(&record);
            // Nothing but the bound on calls of a client is busy before it rings.
            let warning = (reason == EndReason::Busy).then(|| sdp::Warning {
                code: 399,
                text: "the called client has as many calls as it may".to_owned(),
            });
            let refusal = refuse_invite(reason, warning);
            if let Err(error) = self.sip.command(leg, refusal).await {
                tracing::debug!(%error, "refusal of an incoming call not sent");
            }
        }
    }

    async fn ring(
        &self,
        incoming: sip::Incoming,
        record: &mut CallRecord,
    ) -> Result<(), EndReason> {
        let numbers: Vec<&str> = [Some(&incoming.request_user), incoming.otherwise.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let name = incoming.trunk.clone().ok_or(EndReason::Forbidden)?;
        let trunk = self.trunk(&name)?;
        let found = called::find(
            &self.routes,
            &*self.location_service,
            &name,
            incoming.account.as_deref(),
            &numbers,
        )
        .await?;
        let (called, user) = (found.number, found.user);
        // Before anything is made for the call.
        let Some(mut endpoints) = Endpoints::incoming(found.endpoints, self.incoming_limits) else {
            self.ringing_refusals
                .note(incoming.source, &user, &name, Instant::now());
            return Err(EndReason::Busy);
        };
        let open = self.admit()?;
        let offer = incoming.body.clone().map(body_text);
        // The end that the offer names decides; a call without one answers in the family of SIP.
        let remote = offer
            .as_deref()
            .and_then(|offer| self.offered_address(&name, trunk, offer))
            .unwrap_or(incoming.source.ip());
        let rtp = self.assembly.rtp_at(&name, remote)?;
        let parts = self.assembly.media_parts(Role::Offerer, rtp)?;
        record.to.clone_from(&called);
        record.names.user = user;
        let invitation = Invitation {
            endpoints: endpoints.ids(),
            from: incoming.from_user.clone(),
            name: incoming.from_name.clone(),
            to: called.clone(),
            diverted: incoming.diverted.map(|diversion| Diverted {
                from: diversion.from,
                reason: diversion.reason,
            }),
            headers: incoming.headers,
            offer,
            reliable: incoming.reliable,
        };
        let (rules, local) = (trunk.rules.clone(), parts.local.clone());
        let call = Call::incoming(rules, local, invitation, Instant::now());
        endpoints.call = format!("in-{}", parts.key.0);
        let (sip_sender, sip_events) = mpsc::channel(SIP_QUEUE);
        self.sip.attach(incoming.leg, sip_sender).await;
        let names = CallerNames {
            user: trunk.from_user.clone().unwrap_or_else(|| called.clone()),
            ..CallerNames::default()
        };
        let sip = self.sip.clone();
        let side = SipSide::incoming(sip, incoming.leg, incoming.call_id, names, sip_events);
        let new = NewCall {
            call,
            endpoints,
            side: side.at(incoming.source.ip()),
            open,
            trunk: name,
        };
        self.assembly.start(parts, new, trunk, record).map(|_| ())
    }

    /// Where a PBX's offer wants its audio; none where it cannot be used, or does not say, or where
    /// nothing depends on it.
    fn offered_address(&self, name: &str, trunk: &TrunkRules, offer: &str) -> Option<IpAddr> {
        let mut policy = trunk.rules.trunk.clone();
        policy.families = self.assembly.rtp_choice(name)?;
        let offer = sdp::Offer::parse(offer).ok()?;
        let read = sdp::offer_answer::read_offer(&offer, &policy).ok()?;
        let ip = read.remote.address.rtp.ip();
        (!ip.is_unspecified()).then_some(ip)
    }
}
