//! The `trunkline` binary: arguments, telemetry, settings, run until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use trunkline::gateway::Gateway;
use trunkline::settings::Settings;
use trunkline::telemetry;

/// docs/decisions/0010-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a configuration that cannot be used (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// A WebRTC-to-SIP gateway: browsers call phones, phones call browsers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file; without it the embedded default runs, which needs no PBX.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Checks the configuration and prints what is in force, credentials hidden.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match Settings::load(arguments.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("trunkline: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if let Some(Subcommands::Check) = arguments.command {
        return check(&settings);
    }
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trunkline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(settings: &Settings) -> ExitCode {
    if let Err(error) = trunkline::gateway::check(settings) {
        eprintln!("trunkline: {error}");
        return ExitCode::from(EXIT_CONFIG);
    }
    match settings.to_toml() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("trunkline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    telemetry::start_logging(&settings.log)?;
    let metrics = telemetry::start_metrics()?;
    // Systems start services with 1,024 as a rule, fewer than the default limits of pages and
    // calls need.
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::info!(files, "open files at most"),
        Err(error) => tracing::warn!(%error, "limit of open files not raised"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let render = metrics.clone();
        let gateway = Gateway::start(settings, Box::new(move || render.render())).await?;
        println!(
            "Trunkline is up. Open http://{}/ and dial echo.",
            gateway.page_address()
        );
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut upkeep = tokio::time::interval(std::time::Duration::from_secs(5));
        loop {
            tokio::select! {
                _ = terminate.recv() => {
                    tracing::info!("draining");
                    tokio::select! {
                        () = gateway.drain() => {}
                        _ = interrupt.recv() => tracing::warn!("interrupted while draining"),
                        _ = terminate.recv() => tracing::warn!("told twice to stop"),
                    }
                    break;
                }
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => gateway.reload().await,
                _ = upkeep.tick() => metrics.run_upkeep(),
            }
        }
        gateway.stop().await;
        Ok(())
    })
}
