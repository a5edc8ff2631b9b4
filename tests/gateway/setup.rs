//! A whole gateway in this process, a PBX beside it, and calls through both.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkline::gateway::Gateway;
use trunkline::redacted::Redacted;
use trunkline::settings::{Inbound, Route, Settings, Trunk, User};
use trunkline::sip::{Config, Transport};
use trunkline::telemetry;

use super::browser::Browser;
use super::page::Page;
use super::pbx::{Leg, Pbx, Telephone};
use super::sound::{Coding, PATIENCE, until_async};

/// Ports that each setup has: the first for SIP, most for RTP, the last for its claim.
const PORTS: u16 = 60;

/// Users that each setup has.
const USERS: &[&str] = &["alice", "bob", "mallory", "victim", "102"];

/// The password of each.
pub const PASSWORD: &str = "through the looking-glass";

/// A gateway and its PBX.
pub struct Setup {
    pub gateway: Gateway,
    pub pbx: Pbx,
    pub http: SocketAddr,
    pub sip: SocketAddr,
    _ports: UdpSocket,
}

/// A call that is answered, with its page and telephone.
pub struct Talk {
    pub page: Page,
    pub browser: Browser,
    pub leg: Leg,
    pub telephone: Telephone,
}

fn metrics() -> &'static PrometheusHandle {
    static ONE: OnceLock<PrometheusHandle> = OnceLock::new();
    ONE.get_or_init(|| telemetry::start_metrics().expect("the first recorder"))
}

/// The ports of one setup.
struct Claim {
    /// By UDP and TCP.
    sip: SocketAddr,
    rtp: (u16, u16),
    /// Bound as long as the setup lasts, so that another run at the same time takes others.
    held: UdpSocket,
}

/// All below the ports that the system chooses, so that nobody else is given them meanwhile.
fn claim() -> Claim {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another run at the same time begins elsewhere.
    let begin = u16::try_from(std::process::id() % 5).expect("small") * 67;
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    loop {
        let turn = begin + NEXT.fetch_add(1, Ordering::Relaxed);
        let first = 11_000 + (turn % 340) * PORTS;
        let last = first + PORTS - 1;
        let Ok(held) = UdpSocket::bind(at(last)) else {
            continue;
        };
        let free = |port: u16| UdpSocket::bind(at(port)).is_ok();
        if TcpListener::bind(at(first)).is_ok() && (first..last).all(free) {
            return Claim {
                sip: at(first),
                rtp: (first + 2, last - 1),
                held,
            };
        }
    }
}

impl Setup {
    pub async fn start() -> Self {
        Setup::with(|_| {}).await
    }

    /// A gateway with other settings. Numbers go to the trunk `pbx`, whose calls go to the user
    /// of the called name.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Setup::over(Transport::Udp, change).await
    }

    /// The same with SIP over this transport.
    pub async fn over(transport: Transport, change: impl FnOnce(&mut Settings)) -> Self {
        Setup::beside(transport, |_| {}, change).await
    }

    /// The same beside a PBX of another configuration.
    pub async fn beside(
        transport: Transport,
        pbx: impl FnOnce(&mut Config),
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let metrics = metrics();
        let Claim {
            sip,
            rtp: (first, last),
            held,
        } = claim();
        let (pbx, pbx_address) = Pbx::start(sip, transport, pbx).await;
        let mut settings = Settings::default();
        settings.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let stream = if transport == Transport::Tls {
            "tls"
        } else {
            "tcp"
        };
        settings.sip.listen = vec![format!("udp:{sip}"), format!("{stream}:{sip}")];
        settings.webrtc.addresses = vec![sip.ip()];
        settings.media.workers = 1;
        settings.media.rtp_ports = format!("{first}-{last}");
        settings.built_in.enabled = false;
        settings.trunk = vec![trunk(pbx_address, transport)];
        settings.route = vec![Route::new(r"\d+", "pbx")];
        settings.sign_in.anonymous = Some(true);
        settings.inbound = vec![Inbound {
            pattern: ".+".to_owned(),
            user: "$0".to_owned(),
            trunk: None,
        }];
        change(&mut settings);
        for name in USERS {
            if settings.user.iter().all(|user| user.name != *name) {
                let password = Redacted::new(PASSWORD.to_owned());
                settings.user.push(User::new(*name, password));
            }
        }
        let gateway = Gateway::start(settings, Box::new(|| metrics.render()))
            .await
            .expect("the gateway starts");
        Setup {
            http: gateway.http_address(),
            gateway,
            pbx,
            sip,
            _ports: held,
        }
    }

    pub async fn page(&self, name: &str) -> Page {
        Page::user(self.http, name, PASSWORD).await
    }

    /// A call from a page that the PBX has answered; nobody has been heard yet.
    pub async fn call_out(&mut self, coding: Coding) -> Talk {
        let talk = self.call_out_in_silence(coding).await;
        talk.telephone.speak_to(talk.leg.gateway_rtp());
        // A browser is connected before the gateway is where its Finished comes last: audio at the
        // PBX says that both are.
        until_async("audio of the browser at the PBX", async || {
            !talk.telephone.recorder.samples().is_empty()
        })
        .await;
        talk
    }

    /// The same with a PBX that sends no RTP until its `telephone` is told where to.
    pub async fn call_out_in_silence(&mut self, coding: Coding) -> Talk {
        let mut page = self.page("alice").await;
        let mut browser = Browser::new(coding).await;
        page.call("c1", "600", &browser.offer().await).await;
        let mut leg = self.pbx.called().await;
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        leg.answer(telephone.describe("sendrecv")).await;
        leg.confirmed().await;
        let answer = page.hear("answer").await;
        browser
            .take_answer(answer["sdp"].as_str().expect("SDP"))
            .await;
        page.hear("answered").await;
        browser.connected().await;
        Talk {
            page,
            browser,
            leg,
            telephone,
        }
    }

    /// The PBX calls a page, which answers and hears it; the PBX hangs up.
    pub async fn is_called(&self, user: &str) {
        let mut page = self.page(user).await;
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let mut leg = self.pbx.call(user, telephone.describe("sendrecv")).await;
        let incoming = page.hear("incoming").await;
        let mut browser = Browser::new(Coding::Opus).await;
        let answer = browser.answer(incoming["sdp"].as_str().expect("SDP")).await;
        page.say(json!({"type": "accept", "call": incoming["call"], "sdp": answer}))
            .await;
        page.hear("answered").await;
        leg.answered().await;
        telephone.speak_to(leg.gateway_rtp());
        telephone.send_tone(1_004.0);
        browser.recorder.hears(1_004.0).await;
        leg.hang_up().await;
        page.hear_end("hangup-remote").await;
    }

    /// The value of a counter of `/metrics`, summed over all series with these labels.
    pub async fn counter(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let body = self.get("/metrics").await;
        body.lines()
            .filter(|line| {
                line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))
            })
            .filter(|line| {
                labels
                    .iter()
                    .all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until a counter is `least` above `before`: media workers count once a second.
    pub async fn counted(&self, name: &str, labels: &[(&str, &str)], before: f64, least: f64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let now = self.counter(name, labels).await;
            if now >= before + least {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{name} {labels:?}: {now}, it was {before}\n{}",
                self.get("/metrics").await
            );
            tokio::time::sleep(super::sound::GLANCE * 5).await;
        }
    }

    /// The body of a page of the HTTP listener.
    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).await.expect("it listens");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut response = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut response))
            .await
            .expect("answered in time")
            .expect("text");
        let (_, body) = response.split_once("\r\n\r\n").expect("a head");
        body.to_owned()
    }

    /// How many calls the gateway has open, as `/health` says.
    pub async fn open_calls(&self) -> u64 {
        let health: serde_json::Value =
            serde_json::from_str(&self.get("/health").await).expect("JSON");
        health["calls"].as_u64().expect("a number")
    }

    /// Waits until the gateway has this many calls.
    pub async fn has_calls(&self, calls: u64) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let open = self.open_calls().await;
            if open == calls {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{open} calls");
            tokio::time::sleep(super::sound::GLANCE).await;
        }
    }
}

/// The trunk `pbx`.
fn trunk(address: SocketAddr, transport: Transport) -> Trunk {
    Trunk::new("pbx", format!("sip:{address};transport={transport}"))
}

impl Talk {
    /// Both hear each other, each by a frequency of its own.
    pub async fn sounds(&self) {
        self.browser.send_tone(440.0);
        self.telephone.send_tone(1_004.0);
        self.telephone.recorder.hears(440.0).await;
        self.browser.recorder.hears(1_004.0).await;
    }

    /// From now on everything that both hear is recorded.
    pub fn witness(&self) {
        self.telephone.recorder.listen();
        self.browser.recorder.listen();
    }

    /// Since [`Talk::witness`] both heard the tones of [`Talk::sounds`] and nothing else.
    pub async fn was_undisturbed(&self) {
        self.telephone.recorder.heard_only(440.0).await;
        self.browser.recorder.heard_only(1_004.0).await;
    }

    /// The page hangs up.
    pub async fn end(mut self) {
        self.page.hang_up("c1").await;
        self.page.hear_end("hangup-local").await;
        self.leg.over().await;
        self.browser.close().await;
    }
}
