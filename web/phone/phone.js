/**
 * The telephone: one signed-in connection, at most one call (and one more that
 * waits for it to be answered), and its sound.
 * It has no view; ui.js shows it, and a test can drive it by `window.trunkline.phone`.
 *
 * Events: `change` (anything a view shows), `ended` (a call's ending), `problem`
 * ({text, isOfSession}: something a person should read, and whether it means nothing after the
 * session), `sign-in-refused` ({text, retryAfter}), `microphone` (one was opened), and
 * `connection` (of the signalling).
 */

import { closeMicrophone, openMicrophone, Sound } from "./audio.js";
import { Call } from "./call.js";
import { newCallId, Trunkline } from "./signaling.js";
import { ConnectionStatistics, watchFirstAudio } from "./statistics.js";
import { connectionText, errorText, microphoneText, refusedText, transferFailedText } from "./words.js";

const STATISTICS_EVERY_MILLISECONDS = 2000;

/** Errors after which the call they name cannot go on. */
const FATAL_CALL_ERRORS = new Set(["unknown-call"]);
/** Details of what `ended` says next, or of an early answer that a later one makes good. */
const EXPLANATIONS = new Set(["bad-offer", "bad-answer", "bad-pbx-description"]);
/** Errors that refuse a call that is only being set up. */
const FATAL_SETUP_ERRORS = new Set([
  "bad-message", "too-large", "duplicate-call", "too-many-calls", "not-signed-in", "rate-limited",
]);

export class Phone extends EventTarget {
  #microphone = null;
  #statisticsTimer = 0;
  /** Of the session, and of the sign-in that was tried last. */
  #credentials = {};
  #tried = {};

  /** @type {Call | null} */
  call = null;
  /** A second caller, while there is a call. @type {Call | null} */
  waiting = null;
  /** The last call's ending: {reason, status, text, number, name, direction, answered}. */
  lastEnding = null;
  /** The browser's own view of the call, as ConnectionStatistics reads it. */
  browserStatistics = null;
  /** performance.now() until which open calls may go on, while the gateway is about to stop; else null. */
  draining = null;
  /** performance.now() of the session's end with its token, once the gateway has said so; else null. */
  expiring = null;
  settings = { microphone: "", speaker: "", processing: true };

  /** @param {{url: string, element: HTMLAudioElement}} options */
  constructor({ url, element }) {
    super();
    this.sound = new Sound(element);
    this.signaling = new Trunkline({ url });
    this.signaling.addEventListener("state", ({ detail }) => this.#onConnection(detail));
    this.signaling.addEventListener("welcome", () => this.#changed());
    this.signaling.addEventListener("sign-in-refused", ({ detail }) => {
      this.#noteMethods(detail);
      const { code, retryAfter } = detail;
      this.dispatchEvent(new CustomEvent("sign-in-refused", { detail: { text: this.refusalText(code), retryAfter } }));
      this.#tried = this.#credentials;
    });
    this.signaling.addEventListener("draining", ({ detail }) => {
      this.draining = performance.now() + detail.seconds * 1000;
      this.#changed();
    });
    for (const type of ["token-expiring", "token-renewed"]) {
      this.signaling.addEventListener(type, ({ detail }) => {
        this.expiring = type === "token-expiring" ? performance.now() + detail.seconds * 1000 : null;
        this.#changed();
      });
    }
    this.signaling.addEventListener("incoming", ({ detail }) => this.#onIncoming(detail));
    this.signaling.addEventListener("error", ({ detail }) => this.#onError(detail));
    for (const type of [
      "answer", "ringing", "early-media", "answered", "candidate", "held", "dtmf", "statistics", "media",
      "redirected", "transferred", "transferring", "transfer-failed", "ended",
    ]) {
      this.signaling.addEventListener(type, ({ detail }) => {
        for (const call of [this.call, this.waiting]) if (call?.id === detail.call) call.receive(detail);
      });
    }
  }

  /** "idle", or the state of the call: see call.js. */
  get state() {
    return this.call?.state ?? "idle";
  }
  /** The state of the signalling: see signaling.js. */
  get connection() {
    return this.signaling.state;
  }
  get numbers() {
    return this.signaling.welcome?.numbers ?? [];
  }
  get user() {
    return this.signaling.welcome?.user ?? null;
  }
  /** Signed in without a name: the gateway made one up. */
  get isGuest() {
    return !this.#credentials.user && !this.#credentials.token;
  }
  /** The call that asks to be answered, if there is one. */
  get ringing() {
    return this.waiting ?? (this.call?.state === "incoming" ? this.call : null);
  }
  get peerConnection() {
    return this.call?.peerConnection ?? null;
  }
  get #shownCall() {
    return this.call ?? this.#previousCall;
  }
  #previousCall = null;
  /** Of the present call, or of the last one while there is none. */
  get receivedDigits() {
    return this.#shownCall?.receivedDigits ?? "";
  }
  /**
   * performance.now() of the present or last call's steps: dialled, offerSent, ringing, earlyMedia,
   * answerSdp, answered, connected (ICE and DTLS), firstPacket and firstAudio of the far end.
   */
  get marks() {
    return this.#shownCall?.marks ?? {};
  }

  /** @param {{user?: string, password?: string, token?: string}} credentials none: anonymous */
  signIn(credentials = {}) {
    this.#tried = credentials;
    this.signaling.connect(credentials);
  }

  /** A new token: for the session that one opened, otherwise for a new session. */
  useToken(token) {
    if (this.connection === "signed-in" && this.#credentials.token) this.signaling.renew(token);
    else this.signIn({ token });
  }

  /** Why the gateway did not let this person in, as a person would say it. */
  refusalText(code) {
    return code === "unauthorized" ? refusedText(this.#tried) : connectionText(code);
  }

  #methods = null;
  /** How the gateway lets people in, of "password", "token" and "guest"; null: it has not said so. */
  get methods() {
    return this.#methods;
  }
  /** The gateway said that it lets no guests in. */
  get guestsRefused() {
    return this.#methods !== null && !this.#methods.includes("guest");
  }
  /** The present session, or the last one, was opened by a token. */
  get isByToken() {
    return Boolean(this.#tried.token);
  }

  /** An `unauthorized` without methods: there are none. */
  #noteMethods({ code, methods }) {
    if (methods) this.#methods = methods;
    else if (code === "unauthorized") this.#methods = [];
  }

  /** Resolves when the call is under way, rejects with an Error that has a readable message. */
  async dial(number) {
    const to = number.trim();
    if (!to) throw this.#problem("Enter a number first.");
    if (this.call) throw this.#problem("Finish the present call first.");
    if (this.draining !== null) throw this.#problem("The gateway is being restarted and takes no new calls.");
    if (this.connection !== "signed-in") throw this.#problem("Not connected to the gateway yet.");
    const call = new Call({
      signaling: this.signaling,
      id: newCallId(),
      number: to,
      iceServers: this.signaling.welcome.iceServers ?? [],
    });
    call.marks.dialled = performance.now();
    this.#adopt(call);
    if (await this.#openMicrophoneFor(call)) await this.#guarded(call, () => call.start(this.#microphone));
  }

  /** Takes the incoming call; a call that is going on ends for it. */
  async answer() {
    const call = this.ringing;
    if (!call) return;
    // The end of the present call makes the waiting one the present one.
    if (call === this.waiting) this.call.hangUp();
    call.marks.dialled = performance.now();
    call.beginAccepting();
    if (await this.#openMicrophoneFor(call)) await this.#guarded(call, () => call.accept(this.#microphone));
  }

  reject(reason) {
    this.ringing?.reject(reason);
  }

  hangUp() {
    this.call?.hangUp();
  }

  setMuted(muted) {
    this.call?.setMuted(muted);
    this.#changed();
  }

  setHold(on) {
    this.call?.setHold(on);
    this.#showHold(this.call);
  }

  /** Keys during a call, with their sound. Throws a TypeError for anything but 0-9 * # A-D. */
  sendDigits(digits) {
    this.call?.sendDigits(digits);
  }

  /** What the far end sends: see measurement.js. */
  measure(seconds = 1) {
    return this.sound.measure("far-end", seconds);
  }

  /** Resolves once `state` is the wanted one; for tests. */
  until(state, milliseconds = 10_000) {
    return new Promise((settle, fail) => {
      const timer = setTimeout(() => {
        this.removeEventListener("change", look);
        fail(new Error(`the phone is ${this.state}, not ${state}, after ${milliseconds} ms`));
      }, milliseconds);
      const look = () => {
        if (this.state !== state) return;
        clearTimeout(timer);
        this.removeEventListener("change", look);
        settle();
      };
      this.addEventListener("change", look);
      look();
    });
  }

  /** Changes the microphone or voice processing, in mid-call too. */
  async setMicrophone({ microphone = this.settings.microphone, processing = this.settings.processing }) {
    Object.assign(this.settings, { microphone, processing });
    const call = this.call;
    if (!call || !this.#microphone) return;
    try {
      const stream = await openMicrophone({ deviceId: microphone, processing });
      if (this.call !== call) {
        closeMicrophone(stream);
        return;
      }
      await call.replaceMicrophone(stream);
      closeMicrophone(this.#microphone);
      this.#useMicrophone(stream);
    } catch (error) {
      this.#problem(microphoneText(error));
    }
  }

  async setSpeaker(deviceId) {
    this.settings.speaker = deviceId;
    try {
      await this.sound.setSpeaker(deviceId);
    } catch {
      this.#problem("This speaker cannot be used. Choose another one.");
    }
  }

  #onConnection(detail) {
    if (detail.state === "signed-in") this.#credentials = this.#tried;
    if (detail.state !== "signed-in") {
      // A gateway that stopped, or another sign-in, is the reason that people should read.
      const reason = ["shutdown", "session-replaced", "token-expired"].includes(detail.reason) ? detail.reason : "signaling-lost";
      this.draining = null;
      this.expiring = null;
      this.waiting?.end(reason);
      this.call?.end(reason);
    }
    this.dispatchEvent(new CustomEvent("connection", { detail }));
    this.#changed();
  }

  #onIncoming({ call: id, from, sdp }) {
    if (this.waiting) {
      this.signaling.reject(id, "busy");
      return;
    }
    const call = new Call({
      signaling: this.signaling,
      id,
      number: from?.number ?? "",
      name: from?.name,
      iceServers: this.signaling.welcome?.iceServers ?? [],
      offer: sdp,
    });
    if (this.call) {
      this.#letWait(call);
    } else {
      this.#adopt(call);
      this.sound.wake();
      this.sound.startRing();
    }
  }

  #letWait(call) {
    this.waiting = call;
    call.addEventListener("ended", () => {
      if (this.waiting !== call) return;
      this.waiting = null;
      if (this.state === "in-call") this.sound.stopTone();
      this.#changed();
    });
    if (this.state === "in-call") this.sound.startCallWaiting();
    this.#changed();
  }

  #onError(error) {
    this.#noteMethods(error);
    const call = error.call !== undefined && error.call === this.call?.id ? this.call : null;
    const settingUp = call && (call.state === "calling" || call.state === "accepting");
    if (call && (FATAL_CALL_ERRORS.has(error.code) || (settingUp && FATAL_SETUP_ERRORS.has(error.code)))) {
      call.end(error.code);
    } else if (EXPLANATIONS.has(error.code)) {
      console.warn(`the gateway says ${error.code}: ${error.message}`);
    } else if (this.connection === "signed-in" && (call || error.call === undefined)) {
      if (error.code === "hold-refused") this.#showHold(call, !call?.holding);
      this.#problem(errorText(error), { isOfSession: true });
    }
  }

  /** A held call says nothing in either direction: no music that is meant for the other side. */
  #showHold(call, on = call?.holding) {
    call?.markHolding(on);
    this.sound.element.muted = on === true;
    this.#changed();
  }

  /** Makes `call` the present one. */
  #adopt(call) {
    this.call = call;
    this.lastEnding = null;
    this.browserStatistics = null;
    call.addEventListener("state", () => this.#onCallState(call));
    call.addEventListener("media", () => this.#onMedia(call));
    call.addEventListener("ended", () => this.#onEnded(call));
    for (const type of ["digit", "held", "connection", "statistics", "silence", "transferred", "transferring"]) {
      call.addEventListener(type, () => this.#changed());
    }
    call.addEventListener("transfer-failed", ({ detail }) => {
      this.#problem(transferFailedText(detail.status));
      this.#changed();
    });
    this.#changed();
  }

  #onCallState(call) {
    if (call.state === "ringing") this.sound.startRingback();
    else if (call.state !== "incoming") this.sound.stopTone();
    this.#changed();
  }

  #onMedia(call) {
    this.sound.play(call.farEnd).catch(() => {
      if (this.call === call) this.#problem("The browser blocks the sound. Click anywhere on the page.");
    });
    this.sound.listen("far-end", call.farEnd);
    watchFirstAudio(call, this.sound.onsetDetector("far-end"));
    const statistics = new ConnectionStatistics(call.peerConnection);
    clearInterval(this.#statisticsTimer);
    this.#statisticsTimer = setInterval(async () => {
      const reading = await statistics.read();
      if (this.call !== call) return;
      this.browserStatistics = reading;
      call.noteReading(reading);
      this.#changed();
    }, STATISTICS_EVERY_MILLISECONDS);
  }

  #onEnded(call) {
    clearInterval(this.#statisticsTimer);
    this.sound.stopTone();
    this.sound.stopPlaying();
    this.sound.element.muted = false;
    this.sound.unlisten("far-end");
    this.sound.unlisten("microphone");
    closeMicrophone(this.#microphone);
    this.#microphone = null;
    this.#previousCall = call;
    this.call = null;
    const { number, name, direction, answeredAt } = call;
    this.lastEnding = { ...call.ending, number, name, direction, answered: answeredAt > 0 };
    this.dispatchEvent(new CustomEvent("ended", { detail: this.lastEnding }));
    const waiting = this.waiting;
    this.waiting = null;
    if (waiting) {
      this.#adopt(waiting);
      this.sound.startRing();
    }
    this.#changed();
  }

  async #openMicrophoneFor(call) {
    const { microphone, processing } = this.settings;
    let stream;
    try {
      this.sound.wake();
      stream = await openMicrophone({ deviceId: microphone, processing });
    } catch (error) {
      if (call.state === "ended") return false;
      const problem = this.#problem(microphoneText(error));
      if (call.direction === "incoming") call.reject();
      else call.end("no-microphone");
      throw problem;
    }
    // Hung up while the browser was asking for permission.
    if (call.state === "ended") {
      closeMicrophone(stream);
      return false;
    }
    this.#useMicrophone(stream);
    return true;
  }

  #useMicrophone(stream) {
    this.#microphone = stream;
    this.sound.listen("microphone", stream);
    this.dispatchEvent(new CustomEvent("microphone"));
    stream.getAudioTracks()[0].onended = () => this.#problem("The microphone was unplugged. Choose another one under Sound.");
  }

  /** A call that is ended in mid-step throws from WebRTC; that is no problem of anybody's. */
  async #guarded(call, step) {
    try {
      await step();
    } catch (error) {
      if (call.state === "ended") return;
      console.error(error);
      call.hangUp();
      throw this.#problem("This browser could not set up the call.");
    }
  }

  #problem(text, { isOfSession = false } = {}) {
    this.dispatchEvent(new CustomEvent("problem", { detail: { text, isOfSession } }));
    return new Error(text);
  }

  #changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }
}
