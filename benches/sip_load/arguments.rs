//! What the tool is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Calls by sipp against user agents, next to each other.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Calls for each contender and round.
    #[arg(long, default_value_t = 100_000)]
    pub calls: u64,
    /// Calls begun in a second.
    #[arg(long, default_value_t = 1_500)]
    pub rate: u64,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// Each round twice over, with resident memory between and what is left at the end.
    #[arg(long)]
    pub halves: bool,
    /// Only the relay of ours: for soaking.
    #[arg(long)]
    pub relay_only: bool,
    /// How sipp is started.
    #[arg(long, default_value = "sipp")]
    pub sipp: String,
    /// How Kamailio is started; absent: without it.
    #[arg(long)]
    pub kamailio: Option<String>,
    /// Where the root of Kamailio is, seen from here: its configuration is written below.
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// Runs as a contender.
    #[arg(long, hide = true)]
    pub role: Option<Role>,
    /// Where a relay passes calls on to.
    #[arg(long, hide = true)]
    pub target: Option<SocketAddr>,
}

/// What a child process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Our user agent answers.
    Answer,
    /// Our user agent passes each call on.
    Relay,
    /// The independent stack answers.
    AnswerByRsipstack,
}

impl Role {
    /// As the command line has it.
    pub fn name(self) -> String {
        self.to_possible_value()
            .expect("no role is hidden")
            .get_name()
            .to_owned()
    }
}
