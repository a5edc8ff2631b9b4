//! The command line of the load tool.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What the calls carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Narrowband Opus at the browser, PCMU at the PBX.
    Transcoded,
    /// PCMU on both sides.
    PassedThrough,
}

impl Mode {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Transcoded => "transcoded",
            Mode::PassedThrough => "passed-through",
        }
    }
}

/// Calls through a gateway on one media worker, next to a bare loop that does only the work on
/// the packets.
#[derive(Clone, Debug, Parser)]
#[command(name = "load")]
pub struct Arguments {
    /// What the calls carry; left out: one after the other.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Calls at once.
    #[arg(long, default_value_t = 100)]
    pub calls: usize,
    /// Seconds of audio through each of the contenders.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Seconds that one contender runs until the other has its turn.
    #[arg(long, default_value_t = 10)]
    pub slice: u64,
    /// The largest ratio of gateway to bare loop that passes.
    #[arg(long, default_value_t = 1.5)]
    pub limit: f64,
    /// A gateway's binary, in place of the one just built. Several are compared with each other.
    #[arg(long)]
    pub gateway: Vec<PathBuf>,
    /// Sets calls whose PBX leg is SRTP beside the plain ones, through a gateway of their own.
    #[arg(long)]
    pub srtp: bool,
    /// Seconds before the first slice with everything set up, to attach a profiler.
    #[arg(long, default_value_t = 0)]
    pub pause: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Is the bare loop itself: the tool starts it as its child.
    #[arg(long, hide = true)]
    pub bare_loop: bool,
}

impl Arguments {
    /// The modes that are asked for.
    pub fn modes(&self) -> Vec<Mode> {
        match self.mode {
            Some(mode) => vec![mode],
            None => vec![Mode::Transcoded, Mode::PassedThrough],
        }
    }

    /// How often each contender has its turn, and for how long.
    pub fn slices(&self) -> (u64, Duration) {
        let slice = self.slice.clamp(1, self.seconds.max(1));
        (
            self.seconds.max(1).div_ceil(slice),
            Duration::from_secs(slice),
        )
    }
}
