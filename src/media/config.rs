//! What a media worker is made of.

use std::net::IpAddr;
use std::time::Duration;

#[cfg(doc)]
use super::MediaEvent;
use super::pipeline;
use crate::dscp::Dscp;
use crate::supervision::Supervisor;

/// What a worker is made of.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The local addresses on which browsers reach the worker: one socket each, all on the same
    /// port. They are addresses of the machine, not 0.0.0.0: a browser must be answered from
    /// the address that it wrote to.
    pub addresses: Vec<IpAddr>,
    /// The port; 0 takes one that is free on all addresses.
    pub port: u16,
    /// Settings of every path.
    pub path: pipeline::Config,
    /// After how long without audio a side that should send is reported as silent; zero: never.
    pub media_timeout: Duration,
    /// The mean time between two RTCP reports; each is drawn from half to one and a half of it
    /// (RFC 3550 section 6.2).
    pub report_interval: Duration,
    /// The time between two [`MediaEvent::Statistics`].
    pub statistics_interval: Duration,
    /// The kernel's receive buffer of each WebRTC socket, octets; zero leaves the system's.
    pub receive_buffer: usize,
    /// How all that the WebRTC sockets send is marked: DTLS and STUN like the audio beside them
    /// (RFC 8837 section 5).
    pub dscp: Dscp,
    /// Watches the worker's thread.
    pub supervisor: Supervisor,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        WorkerConfig {
            addresses: Vec::new(),
            port: 0,
            path: pipeline::Config::default(),
            media_timeout: Duration::from_secs(30),
            report_interval: Duration::from_secs(2),
            statistics_interval: Duration::from_secs(2),
            receive_buffer: 4 * 1024 * 1024,
            dscp: Dscp::DEFAULT,
            supervisor: Supervisor::default(),
        }
    }
}
