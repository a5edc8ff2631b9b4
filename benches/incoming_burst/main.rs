//! The burst tool: as many INVITEs as are wished in one burst from one trunk, each for another
//! signed-in client, and the time until the last one rings. Several gateways take turns in one run.
//! `docs/performance.md` says how to run and read it.

#![expect(
    clippy::disallowed_methods,
    reason = "a load tool: it keeps real time and starts processes and tasks"
)]

mod gateway;
mod trunk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use gateway::Gateway;
use trunk::Burst;

/// INVITEs in one burst through gateways, which take turns.
#[derive(Clone, Debug, Parser)]
#[command(name = "incoming_burst")]
pub struct Arguments {
    /// INVITEs in a burst, and clients.
    #[arg(long, default_value_t = 500)]
    pub calls: usize,
    /// Bursts through each gateway.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// A gateway's binary, in place of the one just built. Several are compared with the first.
    #[arg(long)]
    pub gateway: Vec<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if !arguments.bench {
        println!("burst tool: run it with `cargo bench --bench incoming_burst`");
        return ExitCode::SUCCESS;
    }
    if arguments.gateway.is_empty() {
        arguments.gateway = vec![env!("CARGO_BIN_EXE_trunkline").into()];
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); arguments.gateway.len()];
    let mut is_good = true;
    for round in 0..arguments.rounds {
        for offset in 0..arguments.gateway.len() {
            // In changing order.
            let index = (round + offset) % arguments.gateway.len();
            let burst = measure(&arguments.gateway[index], arguments.calls).await;
            println!("{}: {burst}", arguments.gateway[index].display());
            is_good &= burst.is_good(arguments.calls);
            times[index].push(burst.last_ringing);
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    for (gateway, time) in arguments.gateway.iter().zip(&medians) {
        let ratio = time.as_secs_f64() / medians[0].as_secs_f64();
        println!(
            "{}: median {time:.1?}, {ratio:.2} of the first",
            gateway.display()
        );
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One burst through a process of its own.
async fn measure(binary: &std::path::Path, calls: usize) -> Burst {
    let trunk = trunk::Trunk::new().await;
    let mut gateway = Gateway::start(binary, trunk.address(), calls);
    let clients = gateway.sign_in(calls).await;
    let burst = trunk.burst(gateway.sip, calls).await;
    drop(clients);
    burst
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
