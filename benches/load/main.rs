//! The load tool: calls through a gateway over its real doors, next to a bare loop that does the
//! same work on the packets and nothing else. `docs/performance.md` says how to run and read it.

#![expect(
    clippy::disallowed_methods,
    reason = "a load tool: it keeps real time, starts threads and draws keys"
)]

mod arguments;
mod bare;
mod browser;
mod listening;
mod page;
mod pbx;
mod process;
mod protection;
mod sdes;
mod speech;
mod stun;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Parser;
use rtc_srtp::config::SessionKeys;

use arguments::{Arguments, Mode};
use bare::Wiring;
use browser::{Browser, Identity, Offering};
use listening::Side;
use page::Page;
use pbx::{AudioSockets, Pbx};
use process::{Cpu, Process};
use speech::Speech;
use traffic::{Leg, Traffic};

/// Before the first measured slice of each contender.
const WARM_UP: Duration = Duration::from_secs(3);
/// Until the last packets of a slice have come through.
const DRAIN: Duration = Duration::from_millis(200);

/// Until the PBX has heard of every hang-up.
const BYES: Duration = Duration::from_secs(5);

/// The gateway's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.bare_loop {
        bare::run(arguments.mode.expect("the load tool names a mode"));
        return ExitCode::SUCCESS;
    }
    if !arguments.bench {
        println!("load tool: run it with `cargo bench --bench load`");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let speech = Speech::new();
    let mut good = true;
    for mode in arguments.modes() {
        good &= measure(mode, &arguments, &speech, &runtime);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A process under load.
struct Contender {
    name: String,
    /// Its PBX's side is SRTP.
    srtp: bool,
    process: Process,
    traffic: Traffic,
    /// Its pages and its PBX; the bare loop has none.
    calls: Option<(Vec<Page>, Pbx)>,
    resident_before: u64,
    resident_after: u64,
    cpu: Cpu,
    /// Packets from each side while `cpu` was used.
    measured: u64,
}

impl Contender {
    /// Microseconds for one call's 20 ms.
    fn cost(&self, used: Duration) -> f64 {
        used.as_secs_f64() * 1e6 / self.measured.max(1) as f64
    }

    fn slice(&mut self, speech: &Speech, duration: Duration) {
        let (cpu, sent) = (self.process.cpu(), self.traffic.sent);
        self.traffic.totals.count(true);
        self.traffic.run(speech, duration);
        let after = self.process.cpu();
        self.cpu.all += after.all - cpu.all;
        self.cpu.media += after.media - cpu.media;
        self.measured += self.traffic.sent - sent;
        std::thread::sleep(DRAIN);
        self.traffic.totals.count(false);
    }
}

fn measure(
    mode: Mode,
    arguments: &Arguments,
    speech: &Speech,
    runtime: &tokio::runtime::Runtime,
) -> bool {
    let identity = Identity::new();
    let mut binaries = arguments.gateway.clone();
    if binaries.is_empty() {
        binaries.push(PathBuf::from(env!("CARGO_BIN_EXE_trunkline")));
    }
    let mut contenders = vec![start_bare_loop(mode, arguments.calls, &identity)];
    for binary in &binaries {
        for srtp in [false, true]
            .into_iter()
            .take(1 + usize::from(arguments.srtp))
        {
            let calls = arguments.calls;
            let gateway = start_gateway(binary, mode, calls, srtp, &identity, runtime);
            contenders.push(gateway);
        }
    }
    for contender in &contenders {
        println!("{}: process {}", contender.name, contender.process.id());
    }
    std::thread::sleep(Duration::from_secs(arguments.pause));
    for contender in &mut contenders {
        contender.traffic.totals.count(true);
        contender.traffic.run(speech, WARM_UP);
        std::thread::sleep(DRAIN);
        contender.traffic.totals.count(false);
    }
    let (rounds, slice) = arguments.slices();
    for round in 0..rounds {
        // In turn from either end, so that a machine that slows down slows all alike.
        let mut order: Vec<&mut Contender> = contenders.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for contender in order {
            contender.slice(speech, slice);
        }
    }
    for contender in &mut contenders {
        contender.resident_after = contender.process.resident();
    }
    report(mode, arguments, &contenders, listening::level(speech)) & end(contenders, runtime)
}

fn start_gateway(
    binary: &std::path::Path,
    mode: Mode,
    calls: usize,
    srtp: bool,
    identity: &Identity,
    runtime: &tokio::runtime::Runtime,
) -> Contender {
    let audio = AudioSockets::bind();
    let addresses = (0..calls)
        .map(|index| audio.of_call(index).local_addr().expect("bound"))
        .collect();
    let pbx = Pbx::start(addresses, srtp);
    let (process, gateway) = Process::gateway(binary, mode, calls, pbx.address, srtp);
    let resident_before = process.resident();
    let (mut legs, mut pages) = (Vec::new(), Vec::new());
    for index in 0..calls {
        let offering = Offering::new(identity, mode);
        let (page, answer) = runtime.block_on(Page::call(gateway, index, &offering.offer));
        pages.push(page);
        let remote = pbx.remote(index);
        assert_eq!(remote.keys.is_some(), srtp, "the call is as it should be");
        legs.push(Leg {
            browser: offering.connect(identity, &answer),
            contender: remote.address,
            pbx_keys: remote.keys,
        });
    }
    let traffic = Traffic::new(mode, legs, &audio, identity.provider.as_ref());
    Contender {
        name: format!(
            "gateway {}{}",
            binary.display(),
            if srtp { ", SRTP at the PBX" } else { "" }
        ),
        srtp,
        process,
        traffic,
        calls: Some((pages, pbx)),
        resident_before,
        resident_after: 0,
        cpu: Cpu::default(),
        measured: 0,
    }
}

fn start_bare_loop(mode: Mode, calls: usize, identity: &Identity) -> Contender {
    let audio = AudioSockets::bind();
    let mut process = Process::bare_loop(mode);
    let resident_before = process.resident();
    let random = |length: usize| -> Vec<u8> { (0..length).map(|_| rand::random()).collect() };
    let mut input = String::new();
    let mut browsers = Vec::new();
    for index in 0..calls {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
        let keys = SessionKeys {
            local_master_key: random(16),
            local_master_salt: random(12),
            remote_master_key: random(16),
            remote_master_salt: random(12),
        };
        let wiring = Wiring {
            browser: socket.local_addr().expect("bound"),
            pbx: audio.of_call(index).local_addr().expect("bound"),
            keys: keys.clone(),
        };
        input.push_str(&wiring.to_line());
        browsers.push((socket, keys));
    }
    process.feed(&input);
    let mut address = || process.line().parse().expect("the bare loop's address");
    let gateway = address();
    let legs = browsers
        .into_iter()
        .map(|(socket, keys)| Leg {
            browser: Browser {
                socket,
                gateway,
                credentials: None,
                keys,
            },
            contender: address(),
            pbx_keys: None,
        })
        .collect();
    let traffic = Traffic::new(mode, legs, &audio, identity.provider.as_ref());
    Contender {
        name: "bare loop".to_owned(),
        srtp: false,
        process,
        traffic,
        calls: None,
        resident_before,
        resident_after: 0,
        cpu: Cpu::default(),
        measured: 0,
    }
}

/// Prints the figures; whether they are good enough.
fn report(mode: Mode, arguments: &Arguments, contenders: &[Contender], spoken: f64) -> bool {
    let calls = arguments.calls;
    let bare = &contenders[0];
    let least = bare.cost(bare.cpu.all);
    let mut good = true;
    println!("\n{}: {calls} calls on one media worker", mode.name());
    for (number, contender) in contenders.iter().enumerate() {
        let Contender { traffic, .. } = contender;
        let all = contender.cost(contender.cpu.all);
        let resident = contender
            .resident_after
            .saturating_sub(contender.resident_before);
        println!("  {}", contender.name);
        println!(
            "    {all:.1} us of CPU per 20 ms per call ({:.1} of it in the media thread), {} KB \
             per call, {} s of audio",
            contender.cost(contender.cpu.media),
            resident / 1024 / calls.max(1) as u64,
            traffic.sent / calls.max(1) as u64 / 50,
        );
        if contender.calls.is_some() {
            let ratio = all / least;
            println!(
                "    ratio to the bare loop: {ratio:.2} (limit {})",
                arguments.limit
            );
            // The bare loop's PBX is plain: what SRTP costs on top is told, not judged.
            good &= contender.srtp || ratio <= arguments.limit;
        }
        if let Some(plain) = number.checked_sub(1).map(|plain| &contenders[plain])
            && contender.srtp
        {
            let ratio = all / plain.cost(plain.cpu.all);
            println!("    ratio to the same gateway with plain RTP at the PBX: {ratio:.2}");
        }
        for (name, side) in [
            ("to the browser", &traffic.totals.at_browser),
            ("to the PBX", &traffic.totals.at_pbx),
        ] {
            good &= report_side(name, side, traffic.sent, spoken);
        }
        println!(
            "    load: latest packet {:.1?} after its time",
            traffic.latest
        );
    }
    good
}

fn report_side(name: &str, side: &Side, sent: u64, spoken: f64) -> bool {
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (received, gaps, bad) = (get(&side.received), get(&side.gaps), get(&side.bad));
    let level = 20.0 * (side.level() / spoken).log10();
    println!(
        "    {name}: {sent} packets sent, {} lost, {gaps} gaps, {bad} bad, level {level:+.1} dB",
        i128::from(sent) - i128::from(received),
    );
    // A keep-alive that was on its way when a turn began is one more.
    received >= sent
        && received - sent <= sent / 1_000
        && gaps == 0
        && bad == 0
        && level.abs() < 3.0
}

/// Hangs up everywhere; whether every call had lasted and was ended as it should be.
fn end(contenders: Vec<Contender>, runtime: &tokio::runtime::Runtime) -> bool {
    let mut good = true;
    for contender in contenders {
        let Some((pages, pbx)) = contender.calls else {
            continue;
        };
        let calls = pages.len();
        let mut ended = 0;
        for page in pages {
            ended += usize::from(runtime.block_on(page.hang_up()));
        }
        let patience = Instant::now() + BYES;
        while pbx.byes() < calls && Instant::now() < patience {
            std::thread::sleep(DRAIN);
        }
        if ended != calls || pbx.byes() < calls {
            println!("  of {calls} calls {ended} ended well, {} BYEs", pbx.byes());
            good = false;
        }
    }
    good
}
