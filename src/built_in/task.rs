//! Runs the built-in numbers: their SIP user agent, and a task for each call.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: starts tasks, draws ids"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::audio::BuiltInAudio;
use super::number::BuiltInNumber;
use crate::codec::{AudioFormat, Direction};
use crate::supervision::Supervisor;
use crate::{sdp, sip};

/// The trunk's name inside their user agent: the flow back to the gateway.
const GATEWAY: &str = "gateway";

/// Calls at once; one more is rejected with 486.
const MOST_CALLS: usize = 200;

/// The longest call.
const LONGEST_CALL: Duration = Duration::from_secs(3_600);

/// How long `callback` waits before it calls back.
const CALLBACK_DELAY: Duration = Duration::from_secs(2);

/// How long it lets the client ring.
const CALLBACK_RINGS: Duration = Duration::from_secs(45);

/// What can go wrong in a built-in number.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its SIP side.
    #[error("built-in number: {0}")]
    Sip(#[from] sip::Error),
    /// Its sockets.
    #[error("built-in number: {0}")]
    Socket(#[from] std::io::Error),
    /// What the gateway offered or answered.
    #[error("built-in number: {0}")]
    Description(#[from] sdp::Error),
    /// The gateway did not do what a call needs.
    #[error("built-in number: the call ended early")]
    EndedEarly,
}

/// The running user agent of the built-in numbers.
pub struct BuiltIn {
    sip: sip::Handle,
    incoming: mpsc::Receiver<sip::Incoming>,
}

impl BuiltIn {
    /// Opens the SIP socket on loopback; `gateway` is where it calls back, `supervisor`
    /// watches the SIP side.
    pub async fn bind(gateway: SocketAddr, supervisor: Supervisor) -> Result<Self, Error> {
        let (sender, incoming) = mpsc::channel(64);
        let host = if gateway.ip().is_unspecified() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            gateway.ip()
        };
        let config = sip::Config {
            listen: vec![sip::Listen {
                transport: sip::Transport::Udp,
                address: (loopback_of(host), 0).into(),
            }],
            advertised: None,
            user_agent: concat!("Trunkline-built-in/", env!("CARGO_PKG_VERSION")).to_owned(),
            trunks: vec![sip::Trunk {
                accept_from: vec![host.into()],
                ..sip::Trunk::new(
                    GATEWAY,
                    sip::Target::at((host, gateway.port()).into(), sip::Transport::Udp),
                )
            }],
            supervisor,
            ..sip::Config::default()
        };
        let sip = sip::start(config, sender).await?;
        Ok(BuiltIn { sip, incoming })
    }

    /// Where its numbers are reached.
    pub fn address(&self) -> Option<SocketAddr> {
        self.sip
            .local_addresses()
            .first()
            .map(|listen| listen.address)
    }

    /// Answers calls until the gateway stops.
    pub async fn run(mut self) {
        let room = Arc::new(Semaphore::new(MOST_CALLS));
        while let Some(incoming) = self.incoming.recv().await {
            let sip = self.sip.clone();
            let permit = Arc::clone(&room).try_acquire_owned();
            tokio::spawn(async move {
                let leg = incoming.leg;
                let Ok(_permit) = permit else {
                    refuse(&sip, leg, 486).await;
                    return;
                };
                if let Err(error) = answer(&sip, incoming).await {
                    tracing::debug!(%error, "built-in call failed");
                    let _ = sip.command(leg, sip::Command::Hangup { cause: None }).await;
                }
            });
        }
        // Its SIP side has ended, which is noted after its channels have closed: the fault is not here.
        std::future::pending().await
    }
}

/// The loopback address of the same family.
fn loopback_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

async fn refuse(sip: &sip::Handle, leg: sip::LegId, status: u16) {
    let _ = sip
        .command(
            leg,
            sip::Command::Reject {
                status,
                reason: None,
                warning: None,
            },
        )
        .await;
}

async fn answer(sip: &sip::Handle, incoming: sip::Incoming) -> Result<(), Error> {
    let leg = incoming.leg;
    let (sender, mut events) = mpsc::channel(32);
    sip.attach(leg, sender).await;
    let number = match BuiltInNumber::from_dialled(&incoming.request_user) {
        None => {
            refuse(sip, leg, 404).await;
            return Ok(());
        }
        Some(BuiltInNumber::Busy) => {
            refuse(sip, leg, 486).await;
            return Ok(());
        }
        Some(BuiltInNumber::Ring) => {
            sip.command(
                leg,
                sip::Command::Progress {
                    status: 180,
                    body: None,
                },
            )
            .await?;
            while events.recv().await.is_some_and(|event| !event.is_final()) {}
            return Ok(());
        }
        Some(number) => number,
    };
    let offer = sdp::Offer::parse(incoming.body.unwrap_or_default())?;
    let offer = sdp::offer_answer::read_offer(&offer, &sdp::TrunkPolicy::default())?;
    let local = loopback_of(offer.remote.address.rtp.ip());
    let socket = UdpSocket::bind((local, 0)).await?;
    let (answer, remote, format) = sdp::offer_answer::answer(
        &offer,
        socket.local_addr()?,
        &sdp::TrunkPolicy::default(),
        sdp::SessionIds::new(rand::random::<u32>().into()),
        Direction::SendRecv,
    )?;
    sip.command(
        leg,
        sip::Command::Accept {
            body: Bytes::from(answer.to_string()),
        },
    )
    .await?;
    let audio = match number {
        BuiltInNumber::Echo => BuiltInAudio::echo(format, rand::random()),
        BuiltInNumber::Digits => BuiltInAudio::digits(format, rand::random()),
        BuiltInNumber::Tone
        | BuiltInNumber::Callback
        | BuiltInNumber::Busy
        | BuiltInNumber::Ring => BuiltInAudio::tone(format, rand::random()),
    };
    if number == BuiltInNumber::Callback {
        let short = Duration::from_millis(600);
        let _ = tokio::time::timeout(
            short,
            talk(sip, leg, &mut events, &socket, remote.address.rtp, audio),
        )
        .await;
        sip.command(leg, sip::Command::Hangup { cause: Some(16) })
            .await?;
        tokio::time::sleep(CALLBACK_DELAY).await;
        return call_back(sip, incoming.from_user, local).await;
    }
    talk(sip, leg, &mut events, &socket, remote.address.rtp, audio).await
}

/// Calls the user and sends back what it says.
async fn call_back(sip: &sip::Handle, user: String, local: IpAddr) -> Result<(), Error> {
    let socket = UdpSocket::bind((local, 0)).await?;
    let offer = sdp::offer_answer::offer(
        socket.local_addr()?,
        &sdp::TrunkPolicy::default(),
        sdp::SessionIds::new(rand::random::<u32>().into()),
        Direction::SendRecv,
    );
    let (sender, mut events) = mpsc::channel(32);
    let outgoing = sip::Outgoing {
        trunk: GATEWAY.to_owned(),
        to_user: user,
        from_user: BuiltInNumber::Callback.dialled().to_owned(),
        from_name: Some("Built-in callback".to_owned()),
        body: Bytes::from(offer.offer.to_string()),
        ..sip::Outgoing::default()
    };
    let leg = sip.invite(outgoing, sender).await?;
    let answered = tokio::time::timeout(CALLBACK_RINGS, async {
        loop {
            match events.recv().await {
                Some(sip::Event::Accepted { body, .. }) => return Ok(body),
                Some(event) if event.is_final() => return Err(Error::EndedEarly),
                Some(_) => {}
                None => return Err(Error::EndedEarly),
            }
        }
    })
    .await;
    let Ok(body) = answered else {
        sip.command(leg, sip::Command::Hangup { cause: Some(19) })
            .await?;
        return Ok(());
    };
    let answer = sdp::Answer::parse(body?.unwrap_or_default())?;
    let (remote, format) = sdp::offer_answer::read_answer(&offer, &answer)?;
    let audio = BuiltInAudio::echo(format, rand::random());
    talk(sip, leg, &mut events, &socket, remote.address.rtp, audio).await
}

/// Carries audio until the call ends.
async fn talk(
    sip: &sip::Handle,
    leg: sip::LegId,
    events: &mut mpsc::Receiver<sip::Event>,
    socket: &UdpSocket,
    mut remote: SocketAddr,
    mut audio: BuiltInAudio,
) -> Result<(), Error> {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let until = Instant::now() + LONGEST_CALL;
    let mut received = [0_u8; 1_500];
    let mut out = Vec::with_capacity(1_500);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => return Ok(()),
                Some(event) if event.is_final() => return Ok(()),
                Some(sip::Event::Reinvited { body, .. }) => {
                    remote = reoffered(sip, leg, body, socket, remote).await?;
                }
                Some(_) => {}
            },
            packet = socket.recv_from(&mut received) => {
                // An error is the gateway's closed port, which BYE follows.
                if let Ok((length, _)) = packet
                    && audio.handle_packet(&received[..length], &mut out)
                {
                    let _ = socket.send_to(&out, remote).await;
                }
            }
            _ = ticks.tick() => {
                if audio.tick(&mut out) {
                    let _ = socket.send_to(&out, remote).await;
                }
            }
            () = tokio::time::sleep_until(until) => {
                sip.command(leg, sip::Command::Hangup { cause: Some(16) }).await?;
                return Ok(());
            }
        }
    }
}

/// Answers a new offer of the gateway: hold and resume.
async fn reoffered(
    sip: &sip::Handle,
    leg: sip::LegId,
    body: Option<Bytes>,
    socket: &UdpSocket,
    remote: SocketAddr,
) -> Result<SocketAddr, Error> {
    let answered: Result<(sdp::Answer, sdp::RemoteMedia, AudioFormat), sdp::Error> =
        sdp::Offer::parse(body.unwrap_or_default())
            .and_then(|offer| sdp::offer_answer::read_offer(&offer, &sdp::TrunkPolicy::default()))
            .and_then(|offer| {
                let local = socket.local_addr().unwrap_or(remote);
                let ids = sdp::SessionIds::new(rand::random::<u32>().into());
                sdp::offer_answer::answer(
                    &offer,
                    local,
                    &sdp::TrunkPolicy::default(),
                    ids,
                    Direction::SendRecv,
                )
            });
    match answered {
        Ok((answer, new, _)) => {
            let body = Bytes::from(answer.to_string());
            sip.command(leg, sip::Command::AnswerReinvite { body })
                .await?;
            Ok(new.address.rtp)
        }
        Err(_) => {
            sip.command(
                leg,
                sip::Command::RefuseReinvite {
                    status: 488,
                    warning: None,
                },
            )
            .await?;
            Ok(remote)
        }
    }
}
