//! Our user agent as a bare UAS: 200 to each INVITE, nothing else.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::mpsc;
use trunkline::sip;

/// What every call says of its audio.
pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                       m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// Calls that may wait.
pub const QUEUE: usize = 4_096;

/// A user agent on a free port of loopback; its one trunk is `peer`, and everybody there is known.
pub async fn user_agent(peer: SocketAddr) -> (sip::Handle, mpsc::Receiver<sip::Incoming>) {
    let (sender, incoming) = mpsc::channel(QUEUE);
    let target = sip::Target {
        host: peer.ip().to_string(),
        port: Some(peer.port()),
        transport: Some(sip::Transport::Udp),
    };
    let config = sip::Config {
        listen: vec![sip::Listen {
            transport: sip::Transport::Udp,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }],
        advertised: None,
        user_agent: "Trunkline".to_owned(),
        trunks: vec![sip::Trunk::new("load", target)],
        limits: sip::Limits {
            legs: 100_000,
            transactions: 1_000_000,
            ..sip::Limits::default()
        },
        ..sip::Config::default()
    };
    let handle = sip::start(config, sender).await.expect("SIP starts");
    let listener = handle.local_addresses()[0];
    println!("{}", listener.address);
    (handle, incoming)
}

/// Answers until the process is ended.
pub async fn run() {
    let (sip, mut incoming) = user_agent(SocketAddr::from(([127, 0, 0, 1], 9))).await;
    answer_questions(sip.clone());
    while let Some(call) = incoming.recv().await {
        let sip = sip.clone();
        tokio::spawn(async move {
            let (sender, mut events) = mpsc::channel(8);
            sip.attach(call.leg, sender).await;
            let body = Bytes::from_static(SDP.as_bytes());
            let _ = sip.command(call.leg, sip::Command::Accept { body }).await;
            while let Some(event) = events.recv().await {
                if event.is_final() {
                    return;
                }
            }
        });
    }
}

/// Says on each line of input what the user agent still holds.
pub fn answer_questions(sip: sip::Handle) {
    tokio::spawn(async move {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = lines.next_line().await {
            let held = sip.held().await;
            println!("{} dialogs, {} transactions", held.legs, held.transactions);
        }
    });
}
