/**
 * One call: an RTCPeerConnection driven by the messages of docs/signaling.md,
 * in either direction (JSEP, RFC 9429), candidates trickled both ways (RFC 8838).
 *
 * States, in the order they can come:
 * - outgoing: `calling` -> `ringing` -> `early-media` -> `in-call` -> `ended`
 *   (`ringing` and `early-media` may be left out, or change places)
 * - incoming: `incoming` -> `accepting` -> `in-call` -> `ended`
 *
 * Events: `state`, `digit` ({digit}), `held` ({on}), `media` (a far-end stream
 * came), `connection` (the peer connection's own state changed), `statistics`
 * (the gateway's view), `silence` (a side fell silent, or is heard again),
 * `transferred` ({to}), `transferring` ({status}), `transfer-failed` ({status}),
 * `ended` ({reason, status, text, redirectedTo}).
 *
 * Whether a call is over is the gateway's word alone (`ended`, or a lost socket): a
 * peer connection that has failed may come back, and the reason is known there.
 */

/** What can be sent as a key of a phone: RFC 4733, events 0 to 15. */
export const DIGITS = /^[0-9*#A-D]+$/;

const DIGIT_MILLISECONDS = 100;
const DIGIT_GAP_MILLISECONDS = 70;

/** So many readings of the browser's statistics (2 s each) without a packet are silence. */
const SILENT_READINGS = 2;

export class Call extends EventTarget {
  #signaling;
  #iceServers;
  #offer;
  #localDescriptionSent = false;
  #localCandidates = [];
  #remoteCandidates = [];
  #remoteDescriptionSet = false;
  #localEndOfCandidates = false;

  state;
  direction;
  /** Who is at the other end: as dialled, or as the gateway named the caller. */
  number;
  name;
  id;
  /** @type {RTCPeerConnection | null} */
  peerConnection = null;
  /** @type {MediaStream | null} */
  farEnd = null;
  muted = false;
  /** We put the far end on hold. */
  holding = false;
  /** The far end put us on hold. */
  held = false;
  /** Which sides the gateway says are silent: `media` of docs/signaling.md. */
  #silent = { browser: false, pbx: false };
  #packetsReceived = 0;
  #readingsWithoutPackets = 0;
  /** SIP status of a transfer that this page asked for and that is under way, else null. */
  transferring = null;
  /** Where a SIP 3xx says that the called party is reached, else null. */
  redirectedTo = null;
  receivedDigits = "";
  sentDigits = "";
  /** The gateway's last `statistics`, or null. */
  gatewayStatistics = null;
  answeredAt = 0;
  /** {reason, status?, text, redirectedTo?} once ended. */
  ending = null;
  /** performance.now() of what happened when; see Phone.marks. */
  marks = {};

  /**
   * @param {object} options
   * @param {import("./signaling.js").Trunkline} options.signaling
   * @param {string} options.id
   * @param {string} options.number
   * @param {string} [options.name]
   * @param {RTCIceServer[]} options.iceServers
   * @param {string} [options.offer] the gateway's offer: makes this an incoming call
   */
  constructor({ signaling, id, number, name, iceServers, offer }) {
    super();
    this.#signaling = signaling;
    this.#iceServers = iceServers;
    this.#offer = offer;
    this.id = id;
    this.number = number;
    this.name = name;
    this.direction = offer === undefined ? "outgoing" : "incoming";
    this.state = offer === undefined ? "calling" : "incoming";
  }

  /** Outgoing: makes the offer and sends `call`. */
  async start(microphone) {
    const connection = this.#connect();
    this.#addMicrophone(microphone);
    await connection.setLocalDescription(await connection.createOffer());
    if (this.state === "ended") return;
    this.marks.offerSent = performance.now();
    if (!this.#signaling.call(this.id, this.number, connection.localDescription.sdp, this.name)) {
      this.end("signaling-lost");
      return;
    }
    this.#sendLocalCandidates();
  }

  /** Incoming: the person said yes; the microphone may take a moment. */
  beginAccepting() {
    if (this.state === "incoming") this.#setState("accepting");
  }

  /** Incoming: answers the gateway's offer and sends `accept`. */
  async accept(microphone) {
    this.beginAccepting();
    if (this.state !== "accepting") return;
    const connection = this.#connect();
    try {
      await connection.setRemoteDescription({ type: "offer", sdp: this.#offer });
    } catch {
      if (this.state === "ended") return;
      this.#signaling.reject(this.id);
      this.end("bad-offer");
      return;
    }
    if (this.state === "ended") return;
    // After the offer is set, so that the track takes the offered audio line instead of a new one.
    this.#addMicrophone(microphone);
    await this.#addQueuedCandidates();
    await connection.setLocalDescription(await connection.createAnswer());
    if (this.state === "ended") return;
    this.marks.answerSdp = performance.now();
    if (!this.#signaling.accept(this.id, connection.localDescription.sdp)) {
      this.end("signaling-lost");
      return;
    }
    this.#sendLocalCandidates();
  }

  reject(reason = "declined") {
    if (this.state !== "incoming" && this.state !== "accepting") return;
    this.#signaling.reject(this.id, reason);
    this.end(reason);
  }

  /** Ends the call from here: cancels it while it rings, refuses it when it is incoming. */
  hangUp() {
    if (this.state === "ended") return;
    if (this.direction === "incoming" && !this.#localDescriptionSent) {
      this.reject();
      return;
    }
    // A call whose offer was never sent is nothing the gateway has heard of.
    if (this.#localDescriptionSent) this.#signaling.hangup(this.id);
    this.end("hangup-local");
  }

  /**
   * Who is not heard although sound is expected: `pbx` (the other side sends none),
   * `browser` (ours does not reach the gateway), `gateway` (nothing arrives here).
   * @returns {Array<"pbx" | "browser" | "gateway">}
   */
  get silences() {
    if (this.state !== "in-call" || this.holding) return [];
    const silences = ["pbx", "browser"].filter((side) => this.#silent[side]);
    // Where the other side sends nothing, nothing can come from the gateway either.
    if (!this.#silent.pbx && this.#readingsWithoutPackets >= SILENT_READINGS) silences.push("gateway");
    return silences;
  }

  /** Takes what the browser itself counts; called at a steady interval. */
  noteReading({ packetsReceived }) {
    const expected = this.state === "in-call" && !this.held && !this.holding;
    const still = expected && packetsReceived === this.#packetsReceived;
    this.#readingsWithoutPackets = still ? this.#readingsWithoutPackets + 1 : 0;
    this.#packetsReceived = packetsReceived;
  }

  /** Whether the last reading brought packets: before that, and on hold, there is nothing to judge. */
  get hears() {
    return this.#packetsReceived > 0 && this.#readingsWithoutPackets === 0 && !this.holding;
  }

  setMuted(muted) {
    this.muted = muted;
    this.#applyMicrophone();
  }

  /** Holds or resumes the far end; the gateway tells the PBX by re-INVITE. */
  setHold(on) {
    if (this.state !== "in-call" || on === this.holding) return;
    if (this.#signaling.hold(this.id, on)) this.markHolding(on);
  }

  /** What the gateway was asked for, or what is left when it could not. */
  markHolding(on) {
    this.holding = on;
    this.#applyMicrophone();
  }

  /** Puts another microphone in the place of the present one, without a new offer. */
  async replaceMicrophone(microphone) {
    const track = microphone.getAudioTracks()[0];
    track.enabled = !this.muted && !this.holding;
    await this.#audioSender()?.replaceTrack(track);
  }

  /**
   * Sends keys of the phone: as RFC 4733 events from the browser where it can,
   * else by asking the gateway to make them.
   */
  sendDigits(digits) {
    const keys = digits.toUpperCase();
    if (!DIGITS.test(keys)) throw new TypeError(`digits are 0-9, *, #, A-D, not "${digits}"`);
    const sender = this.#audioSender()?.dtmf;
    if (sender?.canInsertDTMF) {
      // insertDTMF replaces what is still to be played, so that is said again.
      sender.insertDTMF(sender.toneBuffer + keys, DIGIT_MILLISECONDS, DIGIT_GAP_MILLISECONDS);
    } else if (!this.#signaling.dtmf(this.id, keys, DIGIT_MILLISECONDS)) {
      return;
    }
    this.sentDigits += keys;
    this.dispatchEvent(new CustomEvent("digit", { detail: { sent: keys } }));
  }

  /** One message of the gateway that names this call. */
  async receive(message) {
    if (this.state === "ended") return;
    switch (message.type) {
      case "answer":
        await this.#receiveAnswer(message.sdp);
        break;
      case "candidate":
        await this.#receiveCandidate(message.candidate);
        break;
      case "ringing":
        this.marks.ringing ??= performance.now();
        // After early media it says that this is over: another trunk rings the callee.
        if (this.state === "calling" || this.state === "early-media") this.#setState("ringing");
        break;
      case "early-media":
        this.marks.earlyMedia ??= performance.now();
        if (this.state === "calling" || this.state === "ringing") this.#setState("early-media");
        break;
      case "answered":
        this.marks.answered ??= performance.now();
        this.answeredAt ||= Date.now();
        if (this.state !== "in-call") this.#setState("in-call");
        break;
      case "held":
        this.held = message.on === true;
        this.dispatchEvent(new CustomEvent("held", { detail: { on: this.held } }));
        break;
      case "dtmf":
        this.receivedDigits += message.digit;
        this.dispatchEvent(new CustomEvent("digit", { detail: { digit: message.digit } }));
        break;
      case "statistics":
        this.gatewayStatistics = message;
        this.dispatchEvent(new CustomEvent("statistics", { detail: message }));
        break;
      case "media":
        if (message.side in this.#silent) this.#silent[message.side] = message.silent === true;
        this.dispatchEvent(new CustomEvent("silence"));
        break;
      case "redirected":
        this.redirectedTo = message.to;
        break;
      case "transferred":
        this.number = message.to;
        this.name = undefined;
        this.dispatchEvent(new CustomEvent("transferred", { detail: { to: message.to } }));
        break;
      case "transferring":
        this.transferring = message.status;
        this.dispatchEvent(new CustomEvent("transferring", { detail: { status: message.status } }));
        break;
      case "transfer-failed":
        this.transferring = null;
        this.dispatchEvent(new CustomEvent("transfer-failed", { detail: { status: message.status } }));
        break;
      case "ended":
        this.end(message.reason, message.status, message.text);
        break;
    }
  }

  /** Lets go of everything. Says nothing to the gateway. */
  end(reason, status, text = "") {
    if (this.state === "ended") return;
    this.ending = { reason, status, text, ...(this.redirectedTo && { redirectedTo: this.redirectedTo }) };
    if (this.peerConnection) {
      this.peerConnection.onicecandidate = null;
      this.peerConnection.onconnectionstatechange = null;
      this.peerConnection.ontrack = null;
      this.peerConnection.close();
    }
    this.#setState("ended");
    this.dispatchEvent(new CustomEvent("ended", { detail: this.ending }));
  }

  #connect() {
    const connection = new RTCPeerConnection({ iceServers: this.#iceServers, bundlePolicy: "max-bundle" });
    connection.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    connection.ontrack = ({ streams, track }) => {
      this.farEnd = streams[0] ?? new MediaStream([track]);
      this.dispatchEvent(new CustomEvent("media"));
    };
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "connected") this.marks.connected ??= performance.now();
      this.dispatchEvent(new CustomEvent("connection", { detail: connection.connectionState }));
    };
    this.peerConnection = connection;
    return connection;
  }

  #addMicrophone(microphone) {
    this.peerConnection.addTrack(microphone.getAudioTracks()[0], microphone);
    this.#applyMicrophone();
  }

  #audioSender() {
    return this.peerConnection?.getSenders().find((sender) => sender.track?.kind === "audio");
  }

  #applyMicrophone() {
    const track = this.#audioSender()?.track;
    if (track) track.enabled = !this.muted && !this.holding;
  }

  async #receiveAnswer(sdp) {
    if (this.peerConnection?.signalingState !== "have-local-offer") return;
    this.marks.answerSdp ??= performance.now();
    try {
      await this.peerConnection.setRemoteDescription({ type: "answer", sdp });
    } catch {
      if (this.state === "ended") return;
      this.#signaling.hangup(this.id);
      this.end("bad-answer");
      return;
    }
    await this.#addQueuedCandidates();
  }

  /** A candidate may come before the description it belongs to: it waits. */
  async #receiveCandidate(candidate) {
    if (this.#remoteDescriptionSet) await this.#addCandidate(candidate);
    else this.#remoteCandidates.push(candidate);
  }

  async #addQueuedCandidates() {
    this.#remoteDescriptionSet = true;
    for (const candidate of this.#remoteCandidates.splice(0)) await this.#addCandidate(candidate);
  }

  async #addCandidate(candidate) {
    try {
      await this.peerConnection.addIceCandidate(candidate);
    } catch (error) {
      // One unusable candidate does not spoil the others; if all are, ICE fails and says so.
      console.warn("a candidate of the gateway was not usable", error);
    }
  }

  #trickle(candidate) {
    // Firefox also marks the end of each generation by an empty candidate; null follows it.
    if (candidate && candidate.candidate === "") return;
    if (candidate === null) {
      if (this.#localEndOfCandidates) return;
      this.#localEndOfCandidates = true;
    }
    if (this.#localDescriptionSent) this.#sendCandidate(candidate);
    else this.#localCandidates.push(candidate);
  }

  #sendLocalCandidates() {
    this.#localDescriptionSent = true;
    for (const candidate of this.#localCandidates.splice(0)) this.#sendCandidate(candidate);
  }

  #sendCandidate(candidate) {
    this.#signaling.candidate(
      this.id,
      candidate && {
        candidate: candidate.candidate,
        sdpMid: candidate.sdpMid,
        sdpMLineIndex: candidate.sdpMLineIndex,
      },
    );
  }

  #setState(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state } }));
  }
}
