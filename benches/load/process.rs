//! Child processes, and what they use: read from `/proc`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::arguments::Mode;

/// A contender.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// CPU time so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// Of the whole process.
    pub all: Duration,
    /// Of the media worker's thread; for the bare loop, of its only one.
    pub media: Duration,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Process {
            child,
            input,
            output,
        }
    }

    /// Starts a gateway with one media worker and a route to the PBX at `pbx`; gives the address
    /// of its pages too.
    pub fn gateway(
        binary: &Path,
        mode: Mode,
        calls: usize,
        pbx: SocketAddr,
        srtp: bool,
    ) -> (Self, SocketAddr) {
        let room = calls + 16;
        let passthrough = mode == Mode::PassedThrough;
        let srtp = if srtp { "required" } else { "off" };
        let configuration = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\nmax_sockets = {room}\n\
             max_sockets_per_address = {room}\nmax_connections_per_address = {room}\n\
             [sign_in]\nanonymous = true\n\
             [sip]\nlisten = [\"udp:127.0.0.1:0\"]\n\
             [webrtc]\naddresses = [\"127.0.0.1\"]\n\
             [media]\nworkers = 1\nsilence_timeout = 3600\n\
             [calls]\nmax = {room}\n\
             [built_in]\nenabled = false\n\
             [log]\nfilter = \"warn\"\n\
             [[trunk]]\nname = \"pbx\"\ntarget = \"sip:{pbx}\"\ncodecs = [\"PCMU\"]\n\
             passthrough = {passthrough}\nsrtp = \"{srtp}\"\n\
             [[route]]\nmatch = \"load-\\\\d+\"\ntrunk = \"pbx\"\nguests = true\n"
        );
        let name = format!("trunkline-load-{}-{}.toml", std::process::id(), pbx.port());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, configuration).expect("a temporary file");
        let mut process = Process::start(Command::new(binary).arg("--config").arg(&file));
        let line = process.line();
        let _ = fs::remove_file(&file);
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .and_then(|(address, _)| address.parse().ok())
            .unwrap_or_else(|| panic!("the gateway says where it is: {line:?}"));
        (process, address)
    }

    /// Starts this program again, as the bare loop.
    pub fn bare_loop(mode: Mode) -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(own);
        command.args(["--bench", "--bare-loop", "--mode", mode.name()]);
        let mut process = Process::start(&mut command);
        assert_eq!(process.line(), "ready", "the bare loop starts");
        process
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("its output is open");
        line.trim().to_owned()
    }

    /// Gives it its whole input.
    pub fn feed(&mut self, text: &str) {
        let mut input = self.input.take().expect("it is fed once");
        input.write_all(text.as_bytes()).expect("it reads");
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, by the scheduler's account in nanoseconds.
    pub fn cpu(&self) -> Cpu {
        let mut cpu = Cpu::default();
        let tasks = fs::read_dir(self.path("task")).expect("it is alive");
        for task in tasks.flatten() {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let statistics = read("schedstat");
            let nanoseconds = statistics.split(' ').next().and_then(|n| n.parse().ok());
            let used = Duration::from_nanos(nanoseconds.unwrap_or(0));
            cpu.all += used;
            if read("comm").starts_with("media-") {
                cpu.media += used;
            }
        }
        if cpu.media.is_zero() {
            cpu.media = cpu.all;
        }
        cpu
    }

    /// Resident memory, octets.
    pub fn resident(&self) -> u64 {
        let statm = fs::read_to_string(self.path("statm")).expect("it is alive");
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        pages.map_or(0, |pages: u64| pages * 4_096)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What it had to do is done: the calls were hung up before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
