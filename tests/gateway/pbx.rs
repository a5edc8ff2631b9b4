//! A PBX: a SIP user agent of its own, and telephones with plain RTP sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use trunkline::rtp::{Header, Packet, is_rtcp};
use trunkline::sip;
use trunkline::srtp;
use trunkline::srtp_keys::SrtpKeys;

use super::sound::{Coding, PATIENCE, Recorder, ToneRequest, ToneSource};

/// Payload type of telephone events.
const EVENTS: u8 = 101;

/// Headers of the gateway's INVITEs that tests look at.
const SEEN: [&str; 9] = [
    "From",
    "P-Asserted-Identity",
    "Privacy",
    "X-Account",
    "Diversion",
    "Referred-By",
    "P-Access-Network-Info",
    "P-Visited-Network-ID",
    "P-Charging-Vector",
];

/// The user agent.
pub struct Pbx {
    pub sip: sip::Handle,
    incoming: mpsc::Receiver<sip::Incoming>,
}

/// One call at the PBX.
pub struct Leg {
    sip: sip::Handle,
    id: sip::LegId,
    events: mpsc::Receiver<sip::Event>,
    /// What the gateway called, or who the gateway says called.
    pub called: String,
    pub caller: String,
    pub caller_name: Option<String>,
    pub call_id: String,
    /// Of the gateway's INVITE, those of [`SEEN`].
    pub headers: Vec<(String, String)>,
    /// The gateway's last description.
    pub description: String,
}

impl Pbx {
    /// A PBX at a port of its own, for a gateway that will be at `gateway`.
    pub async fn start(
        gateway: SocketAddr,
        transport: sip::Transport,
        change: impl FnOnce(&mut sip::Config),
    ) -> (Self, SocketAddr) {
        let (sender, incoming) = mpsc::channel(64);
        let mut config = sip::Config {
            listen: vec![sip::Listen {
                transport,
                address: "127.0.0.1:0".parse().expect("an address"),
            }],
            advertised: None,
            user_agent: "Exchange/1".to_owned(),
            trunks: vec![sip::Trunk {
                domain: "pbx.example".to_owned(),
                // It may say one thing in a 183 and another in its 200.
                dialogs: sip::DialogRules {
                    prack: sip::Prack::Off,
                    ..sip::DialogRules::default()
                },
                identity: sip::IdentityPolicy {
                    passed_headers: SEEN.map(str::to_owned).to_vec(),
                    ..sip::IdentityPolicy::default()
                },
                ..sip::Trunk::new("gateway", sip::Target::at(gateway, transport))
            }],
            ..sip::Config::default()
        };
        change(&mut config);
        let sip = sip::start(config, sender).await.expect("SIP starts");
        let address = sip.local_addresses()[0].address;
        (Pbx { sip, incoming }, address)
    }

    /// The next call from the gateway.
    pub async fn called(&mut self) -> Leg {
        let incoming = tokio::time::timeout(PATIENCE, self.incoming.recv())
            .await
            .expect("the gateway calls")
            .expect("SIP runs");
        let (sender, events) = mpsc::channel(64);
        self.sip.attach(incoming.leg, sender).await;
        let body = incoming.body.unwrap_or_default();
        Leg {
            sip: self.sip.clone(),
            id: incoming.leg,
            events,
            called: incoming.request_user,
            caller: incoming.from_user,
            caller_name: incoming.from_name,
            headers: incoming.headers,
            call_id: incoming.call_id,
            description: String::from_utf8(body.to_vec()).expect("SDP is text"),
        }
    }

    /// Nobody calls for this long.
    pub async fn hears_of_nothing(&mut self, time: Duration) {
        let incoming = tokio::time::timeout(time, self.incoming.recv()).await;
        assert!(incoming.is_err(), "{incoming:?}");
    }

    /// Calls a user of the gateway.
    pub async fn call(&self, user: &str, offer: String) -> Leg {
        self.call_with(user, offer, &[]).await
    }

    /// Likewise, with further headers.
    pub async fn call_with(&self, user: &str, offer: String, headers: &[(&str, &str)]) -> Leg {
        let (sender, events) = mpsc::channel(64);
        let outgoing = sip::Outgoing {
            trunk: "gateway".to_owned(),
            to_user: user.to_owned(),
            from_user: "4930123".to_owned(),
            from_name: Some("Ada".to_owned()),
            body: Bytes::from(offer),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..sip::Outgoing::default()
        };
        let id = self.sip.invite(outgoing, sender).await.expect("it is sent");
        Leg {
            sip: self.sip.clone(),
            id,
            events,
            called: user.to_owned(),
            caller: "4930123".to_owned(),
            caller_name: None,
            headers: Vec::new(),
            call_id: String::new(),
            description: String::new(),
        }
    }
}

impl Leg {
    /// A header of the gateway's INVITE; empty where it had none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(seen, _)| seen == name)
            .map_or("", |(_, value)| value)
    }

    pub async fn command(&self, command: sip::Command) {
        self.sip
            .command(self.id, command)
            .await
            .expect("it can be begun");
    }

    pub async fn ring(&self) {
        self.progress(180, None).await;
    }

    /// A provisional answer.
    pub async fn progress(&self, status: u16, description: Option<String>) {
        let body = description.map(Bytes::from);
        self.command(sip::Command::Progress { status, body }).await;
    }

    pub async fn answer(&self, description: String) {
        let body = Bytes::from(description);
        self.command(sip::Command::Accept { body }).await;
    }

    pub async fn refuse(&self, status: u16) {
        let reason = None;
        self.command(sip::Command::Reject {
            status,
            reason,
            warning: None,
        })
        .await;
    }

    /// Tells how the call that a REFER of the gateway asked for goes.
    pub async fn report(&self, status: u16, last: bool) {
        self.command(sip::Command::ReportReferral { status, last })
            .await;
    }

    pub async fn hang_up(&self) {
        self.command(sip::Command::Hangup { cause: Some(16) }).await;
    }

    /// What happens next.
    pub async fn event(&mut self) -> sip::Event {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv())
                .await
                .expect("something happens")
                .expect("the leg lives");
            if !matches!(event, sip::Event::PeerAddress { .. }) {
                return event;
            }
        }
    }

    /// The gateway acknowledges our answer.
    pub async fn confirmed(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, sip::Event::Confirmed { .. }), "{event:?}");
    }

    /// The gateway's answer to our call, with the ringing before it.
    pub async fn answered(&mut self) {
        loop {
            match self.event().await {
                sip::Event::Progress { status: 180, .. } => {}
                sip::Event::Accepted { body, .. } => {
                    self.take(body.expect("an answer has a description"));
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The gateway refuses our call with this status.
    pub async fn refused(&mut self) -> u16 {
        loop {
            match self.event().await {
                sip::Event::Progress { .. } => {}
                sip::Event::Refused { status, .. } => return status,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Offers anew, and gives the gateway's answer.
    pub async fn reoffer(&mut self, description: String) -> String {
        let body = Bytes::from(description);
        self.command(sip::Command::Reinvite { body }).await;
        match self.event().await {
            sip::Event::ReinviteAnswered { body } => self.take(body),
            other => panic!("{other:?}"),
        }
        self.description.clone()
    }

    /// The gateway offers anew.
    pub async fn reoffered(&mut self) -> String {
        match self.event().await {
            sip::Event::Reinvited { body, .. } => self.take(body.expect("an offer")),
            other => panic!("{other:?}"),
        }
        self.description.clone()
    }

    pub async fn answer_reoffer(&mut self, description: String) {
        let body = Bytes::from(description);
        self.command(sip::Command::AnswerReinvite { body }).await;
        self.confirmed().await;
    }

    /// The call is over by the gateway's BYE or CANCEL.
    pub async fn over(&mut self) -> sip::Event {
        loop {
            let event = self.event().await;
            if event.is_final() {
                return event;
            }
        }
    }

    fn take(&mut self, body: Bytes) {
        self.description = String::from_utf8(body.to_vec()).expect("SDP is text");
    }

    /// Where the gateway receives audio.
    pub fn gateway_rtp(&self) -> SocketAddr {
        rtp_address(&self.description)
    }
}

/// Where a description says that audio goes.
pub fn rtp_address(description: &str) -> SocketAddr {
    let line = |prefix: &str| {
        let line = description.lines().find(|line| line.starts_with(prefix));
        line.unwrap_or_else(|| panic!("no {prefix} in {description}"))
            .to_owned()
    };
    let host = line("c=IN IP")[9..].trim().to_owned();
    let port = line("m=audio ")[8..].split(' ').next().map(str::to_owned);
    let ip: std::net::IpAddr = host.parse().expect("an address");
    let port: u16 = port.expect("a port").parse().expect("a number");
    (ip, port).into()
}

/// The direction attribute of a description.
pub fn direction(description: &str) -> &str {
    description
        .lines()
        .map(str::trim)
        .find_map(|line| match line {
            "a=sendrecv" => Some("sendrecv"),
            "a=sendonly" => Some("sendonly"),
            "a=recvonly" => Some("recvonly"),
            "a=inactive" => Some("inactive"),
            _ => None,
        })
        .unwrap_or("sendrecv")
}

/// The RTP side of a call at the PBX: it speaks to the gateway as soon as it knows where.
pub struct Telephone {
    pub address: SocketAddr,
    pub recorder: Recorder,
    wish: Arc<Mutex<ToneRequest>>,
    remote: Arc<Mutex<Option<SocketAddr>>>,
    coding: Coding,
    version: u32,
    srtp: Arc<Mutex<Option<srtp::Session>>>,
    speaking: tokio::task::JoinHandle<()>,
}

impl Telephone {
    pub async fn new(coding: Coding) -> Self {
        Telephone::at("127.0.0.1", coding).await
    }

    /// One with its audio at this local address.
    pub async fn at(ip: &str, coding: Coding) -> Self {
        let socket = UdpSocket::bind((ip, 0)).await.expect("a socket");
        let address = socket.local_addr().expect("its address");
        let recorder = Recorder::new(vec![EVENTS]);
        let (voice, wish) = ToneSource::new(coding, EVENTS);
        let remote = Arc::new(Mutex::new(None));
        let srtp = Arc::new(Mutex::new(None));
        let speaking = tokio::spawn(converse(
            socket,
            voice,
            recorder.clone(),
            remote.clone(),
            srtp.clone(),
        ));
        Telephone {
            address,
            recorder,
            wish,
            remote,
            coding,
            version: 1,
            srtp,
            speaking,
        }
    }

    /// A description with this direction; each is a version of its own.
    pub fn describe(&mut self, direction: &str) -> String {
        self.version += 1;
        let (payload_type, name) = match self.coding {
            Coding::Opus => (111, "opus/48000/2"),
            Coding::Pcmu => (0, "PCMU/8000"),
            Coding::Pcma => (8, "PCMA/8000"),
        };
        let ip = self.address.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let rate = if self.coding == Coding::Opus {
            48_000
        } else {
            8_000
        };
        format!(
            "v=0\r\no=- 77 {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {} RTP/AVP {payload_type} {EVENTS}\r\na=rtpmap:{payload_type} {name}\r\n\
             a=rtpmap:{EVENTS} telephone-event/{rate}\r\na=fmtp:{EVENTS} 0-15\r\na=ptime:20\r\n\
             a={direction}\r\n",
            self.version,
            self.address.port()
        )
    }

    /// The gateway is there.
    pub fn speak_to(&self, gateway: SocketAddr) {
        *self.remote.lock().expect("whole") = Some(gateway);
    }

    /// Speaks SRTP from now on, by these keys.
    pub fn secure(&self, srtp_keys: &SrtpKeys) {
        let mut srtp = self.srtp.lock().expect("whole");
        match &mut *srtp {
            Some(session) => session.rekey(srtp_keys).expect("keys"),
            None => *srtp = Some(srtp::Session::new(srtp_keys).expect("keys")),
        }
    }

    /// Says this tone from now on.
    pub fn send_tone(&self, frequency: f64) {
        self.wish.lock().expect("whole").frequency = frequency;
    }

    /// The tones of a key instead of everything else, until none.
    pub fn sound_key(&self, key: Option<char>) {
        self.wish.lock().expect("whole").key_tone = key;
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) {
        self.wish.lock().expect("whole").keys.extend(keys.chars());
    }

    /// Whether it sends at all.
    pub fn set_speaking(&self, speaks: bool) {
        self.wish.lock().expect("whole").speaks = speaks;
    }
}

impl Drop for Telephone {
    fn drop(&mut self) {
        self.speaking.abort();
    }
}

async fn converse(
    socket: UdpSocket,
    mut voice: ToneSource,
    recorder: Recorder,
    remote: Arc<Mutex<Option<SocketAddr>>>,
    srtp: Arc<Mutex<Option<srtp::Session>>>,
) {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut received = [0; 2_048];
    let mut out = Vec::new();
    let mut secured = Vec::new();
    loop {
        let gateway = *remote.lock().expect("whole");
        tokio::select! {
            _ = ticks.tick() => {
                let Some(gateway) = gateway else { continue };
                for spoken in voice.next() {
                    out.clear();
                    let header = Header {
                        marker: spoken.marker,
                        payload_type: spoken.payload_type,
                        sequence: spoken.sequence,
                        timestamp: spoken.timestamp,
                        ssrc: 0x0b0b_0b0b,
                    };
                    header.write(&mut out);
                    out.extend_from_slice(&spoken.payload);
                    let packet = match &mut *srtp.lock().expect("whole") {
                        Some(session) => {
                            session
                                .protect(srtp::Packet::Rtp, &out, &mut secured)
                                .expect("a packet");
                            secured.clone()
                        }
                        None => out.clone(),
                    };
                    let _ = socket.send_to(&packet, gateway).await;
                }
            }
            packet = socket.recv_from(&mut received) => {
                let Ok((length, from)) = packet else { continue };
                let datagram = &received[..length];
                // What other tests' calls send to a port beside theirs is not ours to hear.
                if Some(from) != gateway || is_rtcp(datagram) {
                    continue;
                }
                let mut plain = Vec::new();
                let datagram = match &mut *srtp.lock().expect("whole") {
                    Some(session) => {
                        match session.unprotect(srtp::Packet::Rtp, datagram, &mut plain) {
                            Ok(_) => plain.as_slice(),
                            // Sent before the keys were agreed on.
                            Err(_) => continue,
                        }
                    }
                    None => datagram,
                };
                let packet = Packet::parse(datagram).expect("the gateway sends whole RTP");
                recorder.take(packet.payload_type, packet.timestamp, packet.payload);
            }
        }
    }
}
