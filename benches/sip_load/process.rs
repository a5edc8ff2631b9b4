//! The contenders as child processes, and what they use: read from `/proc`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::arguments::Role;

/// A contender that listens.
pub struct Contender {
    pub name: String,
    /// Where it takes calls.
    pub address: SocketAddr,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    files: Vec<std::path::PathBuf>,
}

/// What it used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub cpu: Duration,
    /// Octets.
    pub resident: u64,
}

impl Contender {
    /// Starts this program again in another role.
    pub fn own(name: &str, role: Role, target: Option<SocketAddr>) -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(own);
        command.args(["--role", &role.name()]);
        if let Some(target) = target {
            command.args(["--target", &target.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its output is open");
        let address = line.trim().parse().expect("it says where it listens");
        Contender {
            name: name.to_owned(),
            address,
            child,
            output: Some(output),
            files: Vec::new(),
        }
    }

    /// Kamailio as a stateful proxy that stays on the route, with as many workers as we have
    /// threads.
    pub fn kamailio(command: &str, root: &Path, target: SocketAddr) -> Self {
        let address = free_address();
        let configuration = format!(
            "debug=-2\nlog_stderror=yes\nfork=yes\nchildren=2\nlisten=udp:{address}\ndisable_tcp=yes\n\
             loadmodule \"tm.so\"\nloadmodule \"sl.so\"\nloadmodule \"rr.so\"\nloadmodule \"pv.so\"\n\
             loadmodule \"maxfwd.so\"\nloadmodule \"textops.so\"\nloadmodule \"siputils.so\"\n\
             request_route {{\n\
               if (!mf_process_maxfwd_header(\"10\")) {{ sl_send_reply(\"483\", \"Too Many Hops\"); exit; }}\n\
               if (has_totag()) {{\n\
                 if (loose_route()) {{ t_relay(); exit; }}\n\
                 # sipp's own caller follows no route.\n\
                 $du = \"sip:{target}\"; t_relay(); exit;\n\
               }}\n\
               if (is_method(\"CANCEL\")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}\n\
               t_check_trans();\n\
               record_route();\n\
               $du = \"sip:{target}\";\n\
               t_relay();\n\
             }}\n"
        );
        let inside = format!("/tmp/trunkline-load-{}.cfg", std::process::id());
        let file = root.join(inside.trim_start_matches('/'));
        fs::write(&file, configuration).expect("the root has a temporary folder");
        let mut words = command.split_whitespace();
        let program = words.next().expect("a program is named");
        let child = Command::new(program)
            .args(words)
            .args(["-f", &inside, "-DD", "-E", "-m", "512", "-M", "32"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("kamailio starts");
        let contender = Contender {
            name: "kamailio".to_owned(),
            address,
            child,
            output: None,
            files: vec![file],
        };
        contender.wait_until_it_listens();
        contender
    }

    fn wait_until_it_listens(&self) {
        let probe = UdpSocket::bind("127.0.0.1:0").expect("a port");
        probe
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a time-out");
        let own = probe.local_addr().expect("it is bound");
        let deadline = Instant::now() + Duration::from_secs(15);
        let mut answer = [0; 2_048];
        for number in 0.. {
            // Max-Forwards 0: the proxy answers itself.
            let options = format!(
                "OPTIONS sip:{0} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKp{number}\r\n\
                 From: <sip:probe@{own}>;tag=1\r\nTo: <sip:{0}>\r\nCall-ID: probe{number}\r\n\
                 CSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n",
                self.address
            );
            let _ = probe.send_to(options.as_bytes(), self.address);
            if probe.recv(&mut answer).is_ok() {
                return;
            }
            assert!(Instant::now() < deadline, "{} does not answer", self.name);
        }
    }

    /// What it and its children used.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            cpu: Duration::ZERO,
            resident: 0,
        };
        for process in family(self.child.id()) {
            usage.cpu += cpu(process);
            usage.resident += resident(process);
        }
        usage
    }

    /// Waits until the last timers of transactions have run, and asks what it still holds.
    pub fn ask_what_is_left(&mut self) -> String {
        // Timers H, J, L and M run 64 * T1 = 32 s.
        std::thread::sleep(Duration::from_secs(36));
        let (Some(input), Some(output)) = (self.child.stdin.as_mut(), self.output.as_mut()) else {
            return "not known".to_owned();
        };
        let mut line = String::new();
        let asked = input.write_all(b"left\n").and_then(|()| input.flush());
        match asked.and_then(|()| output.read_line(&mut line)) {
            Ok(_) => line.trim().to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        for process in family(self.child.id()).into_iter().rev() {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

/// A UDP port of loopback that nobody has at this moment.
pub fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("loopback has a free port")
}

/// A process and those below it.
fn family(first: u32) -> Vec<u32> {
    let mut family = vec![first];
    let mut next = 0;
    while let Some(&process) = family.get(next) {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{process}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
    }
    family
}

/// Processor time, by the scheduler's account in nanoseconds.
fn cpu(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .map(|task| {
            let statistics = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let nanoseconds = statistics.split(' ').next().and_then(|n| n.parse().ok());
            Duration::from_nanos(nanoseconds.unwrap_or(0))
        })
        .sum()
}

fn resident(process: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: u64| pages * 4_096)
}
