//! Our user agent between two parties, signalling only: each call that arrives is placed anew.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use trunkline::sip;

use crate::answering::{answer_questions, user_agent};

/// Events that may wait for one call.
const EVENTS: usize = 16;

/// Relays to `target` until the process is ended.
pub async fn run(target: SocketAddr) {
    let (sip, mut incoming) = user_agent(target).await;
    answer_questions(sip.clone());
    while let Some(call) = incoming.recv().await {
        tokio::spawn(relay(sip.clone(), call));
    }
}

/// Carries one call from its INVITE to the BYE of either side.
async fn relay(sip: sip::Handle, call: sip::Incoming) {
    let inbound = call.leg;
    let (sender, mut from_caller) = mpsc::channel(EVENTS);
    sip.attach(inbound, sender).await;
    let outgoing = sip::Outgoing {
        trunk: "load".to_owned(),
        to_user: call.to_user,
        from_user: call.from_user,
        body: call.body.unwrap_or_default(),
        ..sip::Outgoing::default()
    };
    let (sender, mut from_callee) = mpsc::channel(EVENTS);
    let Ok(outbound) = sip.invite(outgoing, sender).await else {
        let refusal = sip::Command::Reject {
            status: 503,
            reason: None,
            warning: None,
        };
        let _ = sip.command(inbound, refusal).await;
        return;
    };
    loop {
        let (leg, command) = tokio::select! {
            event = from_caller.recv() => match event {
                Some(sip::Event::Ended { cause, .. }) => (outbound, sip::Command::Hangup { cause }),
                Some(sip::Event::Cancelled) | None => (outbound, sip::Command::Hangup { cause: None }),
                Some(_) => continue,
            },
            event = from_callee.recv() => match event {
                Some(sip::Event::Progress { status, body, .. }) => {
                    let _ = sip.command(inbound, sip::Command::Progress { status, body }).await;
                    continue;
                }
                Some(sip::Event::Accepted { body, .. }) => {
                    let body = body.unwrap_or_default();
                    let _ = sip.command(inbound, sip::Command::Accept { body }).await;
                    continue;
                }
                Some(sip::Event::Refused { status, reason, .. }) => {
                    (inbound, sip::Command::Reject { status, reason: Some(reason), warning: None })
                }
                Some(sip::Event::Ended { cause, .. }) => (inbound, sip::Command::Hangup { cause }),
                Some(_) => continue,
                None => (inbound, sip::Command::Hangup { cause: None }),
            },
        };
        let _ = sip.command(leg, command).await;
        break;
    }
    // The side that was told last says when it is over.
    let last = async {
        tokio::join!(drain(&mut from_caller), drain(&mut from_callee));
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(40), last).await;
}

async fn drain(events: &mut mpsc::Receiver<sip::Event>) {
    while events.recv().await.is_some() {}
}
