//! A gateway as a child process, and the clients that are signed in there.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// A gateway that runs; it is ended when this drops.
pub struct Gateway {
    child: Child,
    http: String,
    /// Where it takes SIP.
    pub sip: SocketAddr,
}

/// The clients; they are gone when this drops.
pub struct Clients(Vec<JoinHandle<()>>);

impl Drop for Clients {
    fn drop(&mut self) {
        for client in &self.0 {
            client.abort();
        }
    }
}

impl Gateway {
    /// Starts one with a user for each call and a trunk at `trunk`.
    pub fn start(binary: &Path, trunk: SocketAddr, calls: usize) -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let sip = free.local_addr().expect("bound");
        drop(free);
        let room = calls + 16;
        let mut configuration = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\nmax_sockets = {room}\n\
             max_sockets_per_address = {room}\nmax_connections_per_address = {room}\n\
             [sip]\nlisten = [\"udp:{sip}\"]\n\
             [webrtc]\naddresses = [\"127.0.0.1\"]\n\
             [calls]\nmax = {room}\n[built_in]\nenabled = false\n[log]\nfilter = \"warn\"\n\
             [[trunk]]\nname = \"pbx\"\ntarget = \"sip:{trunk}\"\nhealth_check = 0\n\
             [[inbound]]\nmatch = \"u(\\\\d+)\"\nuser = \"u$1\"\n"
        );
        for user in 0..calls {
            let _ = write!(
                configuration,
                "[[user]]\nname = \"u{user}\"\npassword = \"burst-{user}-secret\"\n"
            );
        }
        let name = format!(
            "trunkline-burst-{}-{}.toml",
            std::process::id(),
            trunk.port()
        );
        let file = std::env::temp_dir().join(name);
        fs::write(&file, configuration).expect("a temporary file");
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it says where it is");
        let _ = fs::remove_file(&file);
        let http = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_once('/'));
        let http = http
            .unwrap_or_else(|| panic!("no address in {line:?}"))
            .0
            .to_owned();
        Gateway { child, http, sip }
    }

    /// Signs in a client for each user.
    pub async fn sign_in(&mut self, calls: usize) -> Clients {
        let mut clients = Vec::with_capacity(calls);
        for user in 0..calls {
            let (mut socket, _) = connect_async(format!("ws://{}/rtc", self.http))
                .await
                .expect("the gateway takes a WebSocket");
            let hello = json!({
                "type": "hello", "version": 1,
                "user": format!("u{user}"), "password": format!("burst-{user}-secret"),
            });
            socket
                .send(Message::text(hello.to_string()))
                .await
                .expect("it reads");
            let welcome = socket.next().await.expect("it is open").expect("a frame");
            assert!(welcome.to_string().contains("welcome"), "{welcome}");
            clients.push(tokio::spawn(async move {
                while let Some(Ok(_)) = socket.next().await {}
            }));
        }
        Clients(clients)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
