//! What the owner of a call asks of its media worker, and what the worker tells it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{CallStatistics, Error, Latching, RtpSockets};
use crate::codec::AudioFormat;
use crate::peer;
use crate::sdp::IceDtlsParameters;
use crate::srtp_keys::SrtpKeys;

/// Names a call towards its worker. Its owner chooses it; it is unique on the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

/// One of the two ends of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The WebRTC side.
    Browser,
    /// The SIP side.
    Pbx,
}

impl Side {
    /// The name as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Browser => "browser",
            Side::Pbx => "pbx",
        }
    }
}

/// Names a media stream of a call: the place of its media section in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u8);

impl StreamId {
    /// The audio that every call begins with.
    pub const FIRST_AUDIO: StreamId = StreamId(0);
}

/// What the owner of a call asks of its worker.
#[derive(Debug)]
pub enum Command {
    /// The browser's description.
    SetRemoteDescription(Box<IceDtlsParameters>),
    /// One more candidate of the browser.
    AddRemoteCandidate(String),
    /// Restarts ICE; see [`Peer::restart_ice`](crate::peer::Peer::restart_ice). Answered by
    /// [`MediaEvent::IceRestarting`].
    RestartIce,
    /// The IP address that the SIP messages of the PBX come from.
    SetRtpPeer(IpAddr),
    /// The sockets of the PBX side of a stream.
    AttachRtp(StreamId, RtpSockets),
    /// For a stream of audio.
    Audio(StreamId, AudioCommand),
    /// Ends the call's media.
    Close,
}

/// What the owner of a call asks of one of its streams of audio.
#[derive(Debug)]
pub enum AudioCommand {
    /// Where the PBX's SDP says that it receives; see [`super::SymmetricRtp::set_remote`].
    SetRemoteRtp {
        /// RTP.
        rtp: SocketAddr,
        /// RTCP; without it the port above RTP's, equal to `rtp` when both share the port.
        rtcp: Option<SocketAddr>,
        /// What protects packets to and from there; none: they are plain.
        srtp_keys: Option<SrtpKeys>,
    },
    /// A leg to a PBX begins: addresses of a leg before it are forgotten.
    ExpectRtp(Latching),
    /// Looks for digits in the audio of the PBX, as tones (ITU-T Q.23), besides telephone events.
    DetectDigits,
    /// What was negotiated on each side: starts both directions, or changes them.
    SetFormats {
        /// The browser's side.
        browser: AudioFormat,
        /// The PBX's side.
        pbx: AudioFormat,
    },
    /// Sends digits.
    SendDigits {
        /// To whom.
        to: Side,
        /// Of `0-9*#A-D`, and `,` for a pause.
        digits: String,
        /// How long each lasts.
        duration: Duration,
    },
}

impl AudioCommand {
    /// For this stream.
    pub const fn to(self, stream: StreamId) -> Command {
        Command::Audio(stream, self)
    }
}

/// Why a worker let go of a call.
#[derive(Debug)]
pub enum CloseReason {
    /// The owner said [`Command::Close`].
    Commanded,
    /// The worker shuts down.
    ShutDown,
    /// An event other than statistics found no room in the owner's channel: the owner no longer
    /// knows what happens.
    EventsLost,
    /// The owner dropped its end of the channel.
    Abandoned,
    /// The key or the peer's user name fragment belongs to another call.
    Conflict,
    /// The call's media could not be set up.
    Failed(Error),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Commanded => f.write_str("closed by its owner"),
            CloseReason::ShutDown => f.write_str("media worker shut down"),
            CloseReason::EventsLost => f.write_str("event channel full"),
            CloseReason::Abandoned => f.write_str("event channel closed"),
            CloseReason::Conflict => f.write_str("call key or user name fragment already in use"),
            CloseReason::Failed(error) => write!(f, "media failed: {error}"),
        }
    }
}

/// What a worker tells the owner of a call.
#[derive(Debug)]
pub enum MediaEvent {
    /// Of the browser's peer.
    Peer(peer::Event),
    /// The browser's description is of no use.
    DescriptionRefused,
    /// Candidates of the browser were rejected, for the first time in this call for this reason.
    CandidatesRejected {
        /// The reason as a metric label.
        reason: &'static str,
        /// How many at once.
        count: u64,
    },
    /// For the first time in this call a check was not sent, to spare addresses that do not answer.
    ChecksSuppressed,
    /// ICE restarts: our new description.
    IceRestarting(Box<IceDtlsParameters>),
    /// A key was pressed and let go.
    Digit {
        /// By whom.
        from: Side,
        /// One of `0-9*#A-D`.
        digit: char,
        /// For how long.
        duration: Duration,
    },
    /// The first audio packet of a side, and the first after a time in which none was to come.
    FirstAudio {
        /// Whose.
        from: Side,
    },
    /// No audio for the configured time from a side that should send. Told once; audio that
    /// comes later makes it possible again.
    Silent {
        /// Whose.
        from: Side,
    },
    /// A side that should send has been without audio for 3 s (`silent`), or audio came again, or
    /// is no longer expected of it.
    AudioChanged {
        /// Whose.
        from: Side,
        /// Whether none comes.
        silent: bool,
    },
    /// The PBX sends from another address than it was thought to have; audio goes there now.
    RemoteLatched {
        /// The source.
        rtp: SocketAddr,
    },
    /// RTP came from an address that [`Latching`] does not allow, and is not taken. Told once a
    /// call; all are counted.
    UnexpectedSource {
        /// The source.
        rtp: SocketAddr,
    },
    /// RTP from an address of neither SDP nor SIP is played to the browser from now on, since
    /// nothing came from those ([`Latching::heard_after`]). Audio goes where it went. Told once a
    /// leg to a PBX.
    UnexpectedSourceHeard {
        /// The source.
        rtp: SocketAddr,
        /// The address of the SDP.
        signalled: SocketAddr,
    },
    /// Digits that cannot be sent. The call goes on.
    DigitsRefused(Error),
    /// How the call is doing, in regular intervals. Counts are totals: when the channel is full
    /// they are left out, and the next say it all.
    Statistics(CallStatistics),
    /// The last event: the worker let go of the call. There is always room for it.
    Closed {
        /// Why.
        reason: CloseReason,
        /// The final count.
        statistics: CallStatistics,
    },
}
