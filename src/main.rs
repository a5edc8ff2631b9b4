//! The `trunkline` binary: arguments, telemetry, settings, run until told to stop.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use trunkline::gateway::Gateway;
use trunkline::settings::Settings;
use trunkline::supervision::Fault;
use trunkline::telemetry;

/// docs/decisions/0010-allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a configuration that cannot be used (EX_CONFIG of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// Exit code after a task ended that must not (EX_SOFTWARE of sysexits.h).
const EXIT_FAULT: u8 = 70;

/// How long the last lines of the log may take at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

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
    let file = arguments.config.as_deref();
    if let Some(Subcommands::Check) = arguments.command {
        return check(file);
    }
    let settings = match trunkline::gateway::load(file) {
        Ok(settings) => settings,
        Err(errors) => return refuse(&errors),
    };
    let logs = match telemetry::start_logging(&settings.log) {
        Ok(logs) => logs,
        Err(error) => return complain(&error, 1),
    };
    telemetry::log_panics();
    let ended = run(settings);
    logs.flush(LAST_LINES);
    match ended {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(fault)) => complain(&fault, EXIT_FAULT),
        Err(error) => complain(&error, 1),
    }
}

/// One line on standard error. Where that cannot be written the exit code says it alone.
fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "trunkline: {error}");
    ExitCode::from(code)
}

/// Says what is wrong with the configuration, one line an error.
fn refuse(errors: &trunkline::settings::Errors) -> ExitCode {
    for error in &errors.0 {
        complain(error, EXIT_CONFIG);
    }
    ExitCode::from(EXIT_CONFIG)
}

fn check(file: Option<&Path>) -> ExitCode {
    let checked = match trunkline::gateway::check(file) {
        Ok(checked) => checked,
        Err(errors) => return refuse(&errors),
    };
    for warning in &checked.warnings {
        let _ = writeln!(std::io::stderr(), "trunkline: warning: {warning}");
    }
    match checked.settings.to_toml() {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // Its reader has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => complain(&error, 1),
        },
        Err(error) => complain(&error, 1),
    }
}

/// Says on standard output where the page is. In a thread of its own: a reader that stands still
/// must not keep the gateway from its work.
#[expect(clippy::disallowed_methods, reason = "a driver: starts a thread")]
fn announce(text: String) {
    std::thread::spawn(move || {
        let _ = writeln!(std::io::stdout(), "{text}");
    });
}

/// Runs until it is told to stop, or a task ends that must not.
fn run(settings: Settings) -> Result<Option<Fault>, Box<dyn std::error::Error>> {
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
        let page = gateway.page_address();
        announce(match gateway.has_built_in_numbers() {
            true => format!("Trunkline is up. Open http://{page}/ and dial echo."),
            false => format!("Trunkline is up. Open http://{page}/."),
        });
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
                        _ = gateway.failed() => {}
                        _ = interrupt.recv() => tracing::warn!("interrupted while draining"),
                        _ = terminate.recv() => tracing::warn!("second signal: exiting now"),
                    }
                    break;
                }
                _ = interrupt.recv() => break,
                _ = gateway.failed() => break,
                _ = hang_up.recv() => gateway.reload().await,
                _ = upkeep.tick() => metrics.run_upkeep(),
            }
        }
        let fault = gateway.fault();
        gateway.stop().await;
        Ok(fault)
    })
}
