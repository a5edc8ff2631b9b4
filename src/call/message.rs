//! The four closed enums that tell a call's whole story: [`Command`] (asked), [`Event`]
//! (happened), [`Action`] (to do), [`Notice`] (told).

use std::net::SocketAddr;
use std::time::Duration;

use super::EndReason;
use super::ids::EndpointId;
use super::message_notice::MessageNotice;
use super::refusal::Refusal;
use super::snapshot::Snapshot;
use super::transport_event::TransportEvent;
use crate::codec::AudioFormat;
use crate::sdp::{self, Warning};
use crate::srtp_keys::SrtpKeys;

/// A side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The WebRTC side.
    Browser,
    /// The SIP side.
    Pbx,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take the incoming call, with the client's answer.
    Accept {
        /// Which endpoint takes it, where several ring.
        endpoint: EndpointId,
        /// The JSEP answer.
        sdp: String,
    },
    /// Refuse the incoming call.
    Reject {
        /// Which endpoint: where several ring, one that is busy leaves it to the others.
        endpoint: EndpointId,
        /// [`EndReason::Busy`] or [`EndReason::Declined`].
        reason: EndReason,
    },
    /// A candidate of the client; none is the end of candidates.
    Trickle {
        /// `candidate:...`
        candidate: Option<String>,
    },
    /// Send digits to the PBX.
    SendDigits {
        /// Of 0-9, *, # and A-D.
        digits: String,
        /// Of each digit.
        duration: Duration,
    },
    /// Hold or resume the PBX.
    Hold {
        /// Whether to hold.
        on: bool,
    },
    /// Connect the other side elsewhere and leave.
    Transfer {
        /// Where.
        to: TransferTarget,
    },
    /// Write to the other side.
    SendText {
        /// The client's name for the message.
        id: Option<String>,
        /// What.
        text: String,
    },
    /// End the call.
    HangUp {
        /// What the client found broken; none: its user wants no more of it.
        reason: Option<EndReason>,
    },
    /// One more endpoint of the user: where the call still rings it rings there too, otherwise the
    /// endpoint takes the call up: [`Action::Resume`].
    Attach {
        /// Which.
        endpoint: EndpointId,
    },
    /// An endpoint of the call is lost.
    Detach {
        /// Which.
        endpoint: EndpointId,
        /// [`EndReason::SignalingLost`] or [`EndReason::TokenExpired`]: why the call ends where no other
        /// endpoint has it.
        reason: EndReason,
    },
    /// The call's task did not take what clients asked.
    Overrun,
    /// The gateway is stopping.
    ShutDown,
}

/// An answered SIP leg, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialogId(pub u64);

/// Where a client sends its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferTarget {
    /// To a number, as the trunk is asked for it.
    Number {
        /// The trunks that reach it: its route's, and those that stand in for it.
        trunks: Vec<String>,
        /// Which.
        number: String,
    },
    /// To the other side of another call of the client.
    Dialog(DialogId),
}

/// What happened on either side.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A provisional response to our INVITE.
    Progressed {
        /// 101 to 199.
        status: u16,
        /// The session description, where there was one.
        sdp: Option<String>,
        /// The user agent that the INVITE reached, numbered in the order of their first responses.
        fork: u32,
    },
    /// One of the user agents that the INVITE reached is out, others may be left.
    ForkEnded {
        /// Which.
        fork: u32,
    },
    /// A 2xx to our INVITE.
    Accepted {
        /// The PBX's answer.
        sdp: Option<String>,
        /// Who answered.
        fork: u32,
    },
    /// The PBX has our reliable provisional response.
    ProgressConfirmed {
        /// Its answer, where that carried our offer.
        sdp: Option<String>,
    },
    /// A final refusal of our INVITE, or what amounts to one.
    Refused {
        /// 300 to 699.
        status: u16,
        /// The Q.850 cause, where the PBX gave one.
        cause: Option<u16>,
        /// Whether the PBX said it, or we concluded it (no response, no connection).
        from_pbx: bool,
    },
    /// The ACK of our 2xx.
    Confirmed {
        /// The answer, where our 2xx carried the offer.
        sdp: Option<String>,
    },
    /// The PBX offers anew.
    Reoffered {
        /// Its offer; none asks us to make one.
        sdp: Option<String>,
        /// The fork that offers, before our call is answered.
        fork: Option<u32>,
    },
    /// The PBX answered our new offer.
    ReofferAnswered {
        /// Its answer.
        sdp: String,
    },
    /// The PBX refused our new offer; what was agreed stays.
    ReofferRefused {
        /// 491 is glare.
        status: u16,
        /// When to try again, where that helps.
        retry_after: Option<Duration>,
    },
    /// The PBX gave up calling us.
    Cancelled,
    /// The PBX ended the dialog, or it was lost.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// The PBX wants us to call somebody else in its place.
    Referred {
        /// Whom, for people.
        to: String,
        /// Whether that party has a call already, which ours replaces (RFC 3891).
        attended: bool,
    },
    /// Another leg wants to take the place of ours.
    Replaced {
        /// Who is there, for people.
        from: String,
        /// Its offer; none asks us to make one.
        sdp: Option<String>,
    },
    /// What happened on the second leg, which shall take over.
    TransferLeg(Box<Event>),
    /// News of the transfer that we asked the PBX for.
    TransferTold {
        /// Of the PBX's own call, or of its refusal.
        status: u16,
        /// Nothing more comes.
        last: bool,
    },
    /// A 3xx that is not followed; its refusal comes next.
    Redirected {
        /// The new number, for people.
        to: String,
    },
    /// The other side wrote.
    TextReceived {
        /// What.
        text: String,
    },
    /// What became of a message of the client.
    TextAnswered(MessageNotice),
    /// What the record keeps of ICE, DTLS and RTP.
    Transport(TransportEvent),
    /// ICE and DTLS are through.
    PeerConnected,
    /// The browser is gone for good, or never came.
    PeerFailed {
        /// [`EndReason::IceFailed`] or [`EndReason::DtlsFailed`].
        reason: EndReason,
    },
    /// The browser closed its side.
    PeerClosed,
    /// A digit was heard.
    DigitHeard {
        /// On which side.
        from: Side,
        /// Which.
        digit: char,
        /// How long it was pressed.
        duration: Duration,
    },
    /// Digits that were to be sent are not: none of that message.
    DigitsRefused {
        /// Why, for people.
        message: String,
    },
    /// A side that should send has been without audio for 3 s, or sends again.
    AudioChanged {
        /// Which side.
        from: Side,
        /// Whether no audio comes.
        silent: bool,
    },
    /// A side that should send has been without audio for the time after which the log says so.
    AudioMissing {
        /// Which side.
        from: Side,
    },
    /// The first audio of a side has arrived.
    AudioBegan {
        /// Which.
        from: Side,
    },
    /// Fresh figures.
    Measured(Box<Quality>),
    /// The media worker gave up on the call.
    MediaLost,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Give the peer the browser's side.
    SetRemoteDescription(Box<sdp::IceDtlsParameters>),
    /// Give the peer one more candidate.
    AddRemoteCandidate(String),
    /// Call the PBX.
    Invite {
        /// The session description; none asks the PBX for one.
        offer: Option<String>,
    },
    /// Call by the next trunk: the one before is out of the game.
    InviteNext {
        /// The session description; none asks the PBX for one.
        offer: Option<String>,
        /// How the attempt before failed.
        status: u16,
    },
    /// Answer the offer of a provisional response.
    AnswerProgress {
        /// Whose.
        fork: u32,
        /// The session description; empty where the offer is refused.
        answer: String,
    },
    /// Answer the offer of a 2xx.
    Confirm {
        /// The session description.
        answer: String,
    },
    /// Answer the PBX provisionally.
    Progress {
        /// 180 or 183.
        status: u16,
        /// Our offer, where the PBX must have it now.
        sdp: Option<String>,
    },
    /// Answer the PBX.
    Accept {
        /// The session description; empty where it was said before.
        sdp: String,
    },
    /// Refuse or end the SIP side, whichever its state calls for.
    EndPbx {
        /// Why; gives the status and the cause.
        reason: EndReason,
        /// What exactly was not acceptable in the PBX's description.
        warning: Option<Warning>,
    },
    /// Offer anew to the PBX.
    Reoffer {
        /// The session description.
        offer: String,
    },
    /// Answer the PBX's new offer.
    AnswerReoffer {
        /// The session description.
        answer: String,
    },
    /// Refuse the PBX's new offer; what was agreed stays.
    RefuseReoffer {
        /// The SIP status.
        status: u16,
        /// What exactly was not acceptable.
        warning: Option<Warning>,
    },
    /// Ask the PBX to connect the other side elsewhere.
    Refer {
        /// Where.
        to: TransferTarget,
    },
    /// Call whom the PBX named, as a second leg.
    InviteReferTarget {
        /// The session description.
        offer: String,
    },
    /// Tell the PBX how that call goes.
    ReportTransfer {
        /// 100 to 699.
        status: u16,
        /// Nothing more will be told.
        last: bool,
    },
    /// Answer the leg that wants to take over.
    AcceptReplacingLeg {
        /// The session description.
        sdp: String,
    },
    /// Refuse it.
    RefuseReplacingLeg {
        /// The SIP status.
        status: u16,
        /// What exactly was not acceptable.
        warning: Option<Warning>,
    },
    /// End the second leg.
    ReleaseLeg,
    /// The second leg is the PBX's side from now on; the first one ends.
    AdoptLeg {
        /// Why the first one ends.
        reason: EndReason,
    },
    /// Where RTP to the PBX goes from now on.
    SetRemoteRtp {
        /// RTP.
        rtp: SocketAddr,
        /// RTCP; the same as `rtp` where both share a port.
        rtcp: SocketAddr,
        /// What protects packets to and from there; none: they are plain.
        srtp_keys: Option<SrtpKeys>,
    },
    /// What both sides agreed on.
    SetFormats {
        /// With the browser.
        browser: Box<AudioFormat>,
        /// With the PBX.
        pbx: Box<AudioFormat>,
    },
    /// What the PBX may send before it has described itself.
    ExpectEarlyMedia {
        /// With the browser.
        browser: Box<AudioFormat>,
        /// By our offer.
        pbx: Box<AudioFormat>,
    },
    /// Send digits.
    SendDigits {
        /// To which side.
        to: Side,
        /// Which.
        digits: String,
        /// Of each.
        duration: Duration,
    },
    /// Send an INFO.
    SendInfo {
        /// Its Content-Type.
        content_type: &'static str,
        /// Its body.
        body: String,
    },
    /// Write to the PBX inside the call.
    SendText {
        /// The client's name for the message.
        id: Option<String>,
        /// What.
        text: String,
    },
    /// Tell the endpoint that has the call, or all that ring.
    Notify(Notice),
    /// Tell one endpoint. [`Notice::Ended`] says that the call is over there alone: the endpoint is no
    /// longer one of the call's.
    Tell {
        /// Which.
        to: EndpointId,
        /// What.
        notice: Notice,
    },
    /// This endpoint has taken the call that rang; no further one rings.
    Select(EndpointId),
    /// This endpoint has taken the call up again; it is told what the call is now.
    Resume {
        /// Which.
        endpoint: EndpointId,
        /// The call at this moment.
        snapshot: Box<Snapshot>,
    },
    /// Release everything and tell the client why. Always the last action.
    Finish {
        /// Why.
        reason: EndReason,
        /// The SIP status from the PBX, where that was the reason.
        status: Option<u16>,
    },
}

/// That a call was meant for somebody else before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverted {
    /// Who sent it on.
    pub from: String,
    /// A word of RFC 5806 section 4.1 such as `user-busy`.
    pub reason: String,
}

/// What an endpoint is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Somebody calls.
    Incoming {
        /// The caller's number.
        from: String,
        /// The caller's name.
        name: Option<String>,
        /// The number that was called.
        to: String,
        /// Whom the call was meant for before.
        diverted: Option<Diverted>,
        /// Headers of the INVITE that the trunk's policy passes on.
        headers: Vec<(String, String)>,
        /// Our offer.
        offer: String,
    },
    /// Our answer to the client's offer; comes once.
    Answer {
        /// The JSEP answer.
        sdp: String,
    },
    /// The PBX rings; the client makes its own ringback.
    Ringing,
    /// The PBX sends audio before the answer.
    EarlyMedia,
    /// The called party is there.
    Answered,
    /// The PBX holds or resumes the call.
    Held {
        /// Whether it is held.
        on: bool,
    },
    /// The transfer that the client asked for is under way.
    Transferring {
        /// Of the PBX's own call: 100 to 199.
        status: u16,
    },
    /// It failed; the call goes on.
    TransferFailed {
        /// Of the PBX's own call, or of its refusal.
        status: u16,
    },
    /// The PBX has connected the client with somebody else.
    Transferred {
        /// Whom.
        to: String,
    },
    /// The called party is reached at another number; the end of the call comes next.
    Redirected {
        /// Which.
        to: String,
    },
    /// A digit came from the PBX.
    Digit {
        /// Which.
        digit: char,
        /// How long it was pressed.
        duration: Duration,
    },
    /// News of messages inside the call.
    Message(MessageNotice),
    /// A side that should send audio does not, or does again.
    Media {
        /// Which side.
        side: Side,
        /// Whether no audio comes from it.
        silent: bool,
    },
    /// Fresh figures.
    Quality(Box<Quality>),
    /// What was asked cannot be done; the call goes on.
    Refused {
        /// Why.
        refusal: Refusal,
        /// For people.
        message: String,
    },
    /// It is over.
    Ended {
        /// Why.
        reason: EndReason,
        /// The SIP status from the PBX, where that was the reason.
        status: Option<u16>,
    },
}

/// How well one side's audio travels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideQuality {
    /// The codec's name.
    pub codec: Option<&'static str>,
    /// Fraction lost on the way to us, 0 to 1.
    pub loss_in: Option<f64>,
    /// Fraction lost on the way from us, as the far end reports it.
    pub loss_out: Option<f64>,
    /// Interarrival jitter (RFC 3550 section 6.4.1), milliseconds.
    pub jitter: Option<f64>,
    /// Milliseconds.
    pub round_trip: Option<f64>,
    /// Packets received.
    pub packets_in: u64,
    /// Packets that never came.
    pub lost_in: u64,
    /// Packets sent.
    pub packets_out: u64,
}

/// How well the audio of a call travels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// The WebRTC side.
    pub browser: SideQuality,
    /// The SIP side.
    pub pbx: SideQuality,
}
