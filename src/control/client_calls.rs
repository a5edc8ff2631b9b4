//! Intake of the calls that clients make: route, limits, one set of INVITE parameters for each trunk that
//! may be asked.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: draws session ids and Call-IDs, reads the clock"
)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::assembly::NewCall;
use super::call_control::CallControl;
use super::client_headers;
use super::error::Error;
use super::routing::Destination;
use super::trunk_rules::TrunkRules;
use crate::call::{
    Call, CallHandle, CallRecord, ClientOffer, EndReason, Endpoint, Endpoints, InviteParameters,
    Parties, Refusal, SipSide, TransferTarget, TrunkAttempt, write_refused,
};
use crate::guest::display_name;
use crate::peer::Role;
use crate::{sdp, sip};

/// A client asks for a call.
#[derive(Clone, Debug)]
pub struct CallRequest {
    /// Its user.
    pub user: String,
    /// The name that the called party sees.
    pub name: Option<String>,
    /// The endpoint that calls.
    pub endpoint: Endpoint,
    /// Its address, for the log.
    pub remote: SocketAddr,
    /// The client's name for the call.
    pub call: String,
    /// The dialled string.
    pub to: String,
    /// The JSEP offer.
    pub sdp: String,
    /// The client withholds who calls.
    pub anonymous: bool,
    /// Headers for the trunk.
    pub headers: Vec<(String, String)>,
}

impl CallControl {
    /// Begins a call of a client.
    pub async fn call(&self, request: CallRequest) -> Result<CallHandle, Error> {
        let user = request.user.clone();
        let mut record = CallRecord::outgoing(user, request.to.clone(), request.remote);
        let begun = self.begin(request, &mut record).await;
        if let Err(Error::Ends(reason)) = &begun {
            record.refuse(*reason);
            write_refused(&record);
        }
        begun
    }

    async fn begin(
        &self,
        request: CallRequest,
        record: &mut CallRecord,
    ) -> Result<CallHandle, Error> {
        let destination = self
            .routes
            .outbound(&request.user, &request.to)
            .map_err(EndReason::from)?;
        let trunk = self.trunk(&destination.trunk)?;
        let headers = client_headers::permitted(&trunk.client_headers, request.headers.clone())?;
        let open = self.admit()?;
        let mut rtp = self.assembly.rtp_towards(&destination.trunk).await?;
        let parts = self.assembly.media_parts(Role::Answerer, rtp)?;
        let first = invite_parameters(&request, &destination, trunk, headers);
        let mut invites = VecDeque::from([first]);
        let mut attempts = Vec::new();
        for name in &destination.fallback {
            let next = self.trunk(name)?;
            // What one trunk may be told by clients is not for all of them.
            let headers = client_headers::listed(&next.client_headers, &request.headers);
            let asked = Destination {
                trunk: name.clone(),
                ..destination.clone()
            };
            let its_own = self.assembly.rtp_towards(name).await?;
            let (sockets, address) = match its_own.is_same(rtp) {
                true => (None, None),
                false => {
                    let (sockets, address) = its_own.reserve()?;
                    (Some(sockets), Some(address))
                }
            };
            rtp = its_own;
            invites.push_back(InviteParameters {
                rtp: sockets,
                ..invite_parameters(&request, &asked, next, headers)
            });
            attempts.push(TrunkAttempt {
                rules: next.rules.clone(),
                seed: sdp::KeySeed::new(rand::random()),
                session: sdp::SessionIds::new(rand::random::<u32>().into()),
                rtp: address,
            });
        }
        if let Some(last) = invites.back_mut() {
            last.outgoing.alternative = false;
        }
        record.from = trunk.caller(&request.user);
        let offer = ClientOffer {
            endpoint: request.endpoint.id,
            parties: Parties {
                from: record.from.clone(),
                name: request.name,
                to: request.to,
            },
            sdp: &request.sdp,
        };
        let (rules, local) = (trunk.rules.clone(), parts.local.clone());
        let call = Call::outgoing(rules, local, offer, Instant::now()).with_fallback(attempts);
        let new = NewCall {
            call,
            endpoints: Endpoints::outgoing(request.call, request.endpoint),
            side: SipSide::outgoing(self.sip.clone(), invites),
            open,
            trunk: destination.trunk,
        };
        let started = self.assembly.start(parts, new, trunk, record);
        started.map_err(Error::Ends)
    }

    /// Where a client's user gets to by dialling `dialled`, for a transfer.
    pub fn transfer_target(&self, user: &str, dialled: &str) -> Result<TransferTarget, Refusal> {
        let destination = self.routes.outbound(user, dialled)?;
        Ok(TransferTarget::Number {
            trunks: [vec![destination.trunk], destination.fallback].concat(),
            number: destination.number,
        })
    }
}

/// The call that a client requests as this trunk is asked for it.
fn invite_parameters(
    request: &CallRequest,
    destination: &Destination,
    trunk: &TrunkRules,
    headers: Vec<(String, String)>,
) -> InviteParameters {
    let outgoing = sip::Outgoing {
        trunk: destination.trunk.clone(),
        to_user: destination.number.clone(),
        uri: None,
        from_user: trunk.caller(&request.user),
        from_name: display_name(&request.user, request.name.clone()),
        anonymous: request.anonymous,
        body: bytes::Bytes::new(),
        headers,
        // Our own, never the client's: a browser that is called back through the PBX must not meet a
        // Call-ID that it knows.
        call_id: Some(format!("{:032x}", rand::random::<u128>())),
        account: Some(request.user.clone()),
        alternative: true,
    };
    InviteParameters {
        outgoing,
        inband_digits: trunk.inband_digits,
        rtp: None,
        latching: trunk.latching,
    }
}
