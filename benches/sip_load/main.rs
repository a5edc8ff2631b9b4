//! The SIP load tool: INVITE, 200, ACK, BYE without media, by sipp, against our user agent and
//! against others in the same run. `docs/performance.md` says how to run and read it.

#![expect(
    clippy::disallowed_methods,
    reason = "a load tool: it keeps real time and starts processes and tasks"
)]

mod answering;
mod arguments;
mod independent;
mod process;
mod relaying;
mod sipp;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Role};
use process::{Contender, Usage};
use sipp::{Callee, Outcome, Sipp};

/// The gateway's own, for every contender in this program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(role) = arguments.role {
        serve(role, &arguments);
        return ExitCode::SUCCESS;
    }
    if !arguments.bench {
        println!("SIP load tool: run it with `cargo bench --bench sip_load`");
        return ExitCode::SUCCESS;
    }
    let mut good = true;
    let mut answering = Vec::new();
    let rounds = if arguments.relay_only {
        0
    } else {
        println!("as UAS: sipp calls, the contender answers");
        arguments.rounds
    };
    for round in 0..rounds {
        for contender in ["trunkline", "rsipstack"] {
            let role = match contender {
                "trunkline" => Role::Answer,
                _ => Role::AnswerByRsipstack,
            };
            let mut process = Contender::own(contender, role, None);
            let row = measure(&mut process, &arguments);
            print_row(round, &row);
            good &= row.outcome.failed == 0;
            answering.push(row);
        }
    }
    compare("trunkline", "rsipstack", &answering);
    println!("through: sipp calls, the contender passes the call on to a sipp that answers");
    let mut relaying = Vec::new();
    for round in 0..arguments.rounds {
        let callee = Callee::start(&arguments.sipp);
        let mut process = Contender::own("trunkline", Role::Relay, Some(callee.address));
        let row = measure(&mut process, &arguments);
        print_row(round, &row);
        good &= row.outcome.failed == 0;
        relaying.push(row);
        drop(process);
        drop(callee);
        if let Some(kamailio) = arguments
            .kamailio
            .as_ref()
            .filter(|_| !arguments.relay_only)
        {
            let callee = Callee::start(&arguments.sipp);
            let mut process = Contender::kamailio(kamailio, &arguments.root, callee.address);
            let row = measure(&mut process, &arguments);
            print_row(round, &row);
            relaying.push(row);
        }
    }
    compare("trunkline", "kamailio", &relaying);
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One contender under load once.
struct Row {
    contender: String,
    outcome: Outcome,
    /// Processor time of the contender for one call.
    cpu_per_call: f64,
    before: Usage,
    half: Option<Usage>,
    after: Usage,
    /// Dialogs and transactions that it says it still holds, once the last timers have run.
    left: Option<String>,
}

fn measure(process: &mut Contender, arguments: &Arguments) -> Row {
    let sipp = Sipp::new(&arguments.sipp, process.address);
    // What is made once must not count: code pages, sockets, tables.
    sipp.call(arguments.calls.min(1_000), arguments.rate);
    let before = process.usage();
    let (outcome, half) = if arguments.halves {
        let first = sipp.call(arguments.calls, arguments.rate);
        let half = process.usage();
        let second = sipp.call(arguments.calls, arguments.rate);
        (first.and(&second), Some(half))
    } else {
        (sipp.call(arguments.calls, arguments.rate), None)
    };
    let after = process.usage();
    let left = arguments.halves.then(|| process.ask_what_is_left());
    let used = after.cpu.saturating_sub(before.cpu);
    Row {
        contender: process.name.clone(),
        cpu_per_call: used.as_secs_f64() * 1_000.0 / outcome.succeeded.max(1) as f64,
        outcome,
        before,
        half,
        after,
        left,
    }
}

fn print_row(round: usize, row: &Row) {
    println!(
        "  {round} {:<10} {:>7} calls, {} failed, {:>6.0} calls/s, {:.3} ms CPU a call, RSS {} -> {} KiB",
        row.contender,
        row.outcome.succeeded,
        row.outcome.failed,
        row.outcome.rate,
        row.cpu_per_call,
        row.before.resident / 1_024,
        row.after.resident / 1_024,
    );
    if let Some(half) = row.half {
        println!(
            "    RSS after the first half {} KiB, after the second {} KiB: {:.3}",
            half.resident / 1_024,
            row.after.resident / 1_024,
            row.after.resident as f64 / half.resident as f64,
        );
    }
    if let Some(left) = &row.left {
        println!("    left: {left}");
    }
}

/// The ratio of the medians.
fn compare(ours: &str, theirs: &str, rows: &[Row]) {
    let median = |name: &str| {
        let mut figures: Vec<f64> = rows
            .iter()
            .filter(|row| row.contender == name)
            .map(|row| row.cpu_per_call)
            .collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    };
    if let (Some(ours_median), Some(theirs_median)) = (median(ours), median(theirs)) {
        println!(
            "  {ours} / {theirs}: {ours_median:.3} / {theirs_median:.3} ms = {:.2}",
            ours_median / theirs_median
        );
    }
}

/// Runs as one of the contenders.
fn serve(role: Role, arguments: &Arguments) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match role {
            Role::Answer => answering::run().await,
            Role::Relay => {
                relaying::run(arguments.target.expect("a relay has a target")).await;
            }
            Role::AnswerByRsipstack => independent::run().await,
        }
    });
}
