//! sipp: the caller, and the called party behind a relay.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::free_address;

/// How calls went.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub succeeded: u64,
    pub failed: u64,
    /// Calls a second over the whole.
    pub rate: f64,
}

impl Outcome {
    /// Both together.
    pub fn and(&self, other: &Outcome) -> Outcome {
        Outcome {
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            rate: (self.rate + other.rate) / 2.0,
        }
    }
}

/// A caller.
pub struct Sipp {
    command: String,
    target: SocketAddr,
}

impl Sipp {
    pub fn new(command: &str, target: SocketAddr) -> Self {
        Sipp {
            command: command.to_owned(),
            target,
        }
    }

    /// Makes so many calls: INVITE, ACK, BYE at once.
    pub fn call(&self, calls: u64, rate: u64) -> Outcome {
        let own = free_address();
        let began = Instant::now();
        let output = start(
            &self.command,
            &[
                "-sn",
                "uac",
                "-i",
                &own.ip().to_string(),
                "-p",
                &own.port().to_string(),
                "-m",
                &calls.to_string(),
                "-r",
                &rate.to_string(),
                "-l",
                "20000",
                "-d",
                "0",
                "-nostdin",
                "-timeout",
                "600",
                "-recv_timeout",
                "20000",
                &self.target.to_string(),
            ],
            Stdio::piped(),
        )
        .wait_with_output()
        .expect("sipp ends");
        let took = began.elapsed().as_secs_f64();
        let text = String::from_utf8_lossy(&output.stdout);
        let succeeded = cumulative(&text, "Successful call");
        let failed = cumulative(&text, "Failed call");
        assert!(
            succeeded + failed > 0,
            "sipp made no call: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Outcome {
            succeeded,
            failed,
            rate: succeeded as f64 / took,
        }
    }
}

/// The last column of the last such line of sipp's report.
fn cumulative(report: &str, name: &str) -> u64 {
    report
        .lines()
        .rfind(|line| line.contains(name))
        .and_then(|line| line.rsplit('|').next()?.trim().parse().ok())
        .unwrap_or(0)
}

/// A called party that answers everything.
pub struct Callee {
    pub address: SocketAddr,
    child: Child,
}

impl Callee {
    pub fn start(command: &str) -> Self {
        let address = free_address();
        let child = start(
            command,
            &[
                "-sn",
                "uas",
                "-i",
                &address.ip().to_string(),
                "-p",
                &address.port().to_string(),
                "-nostdin",
            ],
            Stdio::null(),
        );
        std::thread::sleep(Duration::from_secs(1));
        Callee { address, child }
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &str, arguments: &[&str], output: Stdio) -> Child {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program is named");
    Command::new(program)
        .args(words)
        .args(arguments)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}
