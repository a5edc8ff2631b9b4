// The gateway's own page in a real browser, driven through `window.trunkline.phone`: the only
// place of the tests that knows the page.

import { writeFileSync } from "node:fs";
import { until } from "./process.mjs";
import { wav } from "./recording.mjs";

/** The share that the browser's jitter buffer may warp of a recording that is judged. */
const WARP_LIMIT = 0.002;
const RECORDING_ATTEMPTS = 3;

export class Page {
  /**
   * @param {object} tab what both drivers have: evaluate(function, argument), close()
   * @param {() => Promise<void>} close ends the browser
   */
  constructor(name, tab, close) {
    this.name = name;
    this.tab = tab;
    this.close = close;
    this.console = [];
    tab.on("console", (message) => this.console.push(message.text()));
    tab.on("pageerror", (error) => this.console.push(String(error)));
  }

  /** Runs a function in the page with one JSON argument. */
  evaluate(what, argument) {
    return this.tab.evaluate(what, argument);
  }

  async signedIn() {
    await this.#until(() => globalThis.trunkline?.phone.connection === "signed-in", "the page is signed in");
  }

  async signIn(user, password) {
    await this.evaluate(([name, word]) => globalThis.trunkline.phone.signIn({ user: name, password: word }), [user, password]);
  }

  /** Signed in under this name: the session before it stays until then. */
  async signedInAs(user) {
    await until(() => this.evaluate((name) => {
      const { phone } = globalThis.trunkline;
      return phone.connection === "signed-in" && phone.user === name;
    }, user), `${this.name}: the page is signed in as ${user}`, 15000);
  }

  connection() {
    return this.evaluate(() => globalThis.trunkline.phone.connection);
  }

  /** Dials; resolves when the offer is on its way. Rejects with the page's own words. */
  dial(number) {
    return this.evaluate((to) => globalThis.trunkline.phone.dial(to), number);
  }

  /** Writes to a number, or to the other side of the call; gives what became of it. */
  write(text, to) {
    return this.evaluate(([body, number]) => new Promise((resolve) => {
      const { phone } = globalThis.trunkline;
      const id = `text-${Math.random().toString(36).slice(2)}`;
      for (const type of ["message-sent", "message-failed"]) {
        phone.signaling.addEventListener(type, ({ detail }) => { if (detail.id === id) resolve(detail); });
      }
      if (number) phone.signaling.message(number, body, id);
      else phone.signaling.messageInCall(phone.call.id, body, id);
    }), [text, to]);
  }

  /** Keeps the texts that come from now on, for `written`. */
  keepTexts() {
    return this.evaluate(() => {
      globalThis.texts = [];
      globalThis.trunkline.phone.signaling.addEventListener("message", ({ detail }) => globalThis.texts.push(detail));
    });
  }

  /** The next text that came. */
  async written() {
    await this.#until(() => globalThis.texts.length > 0, "a text came");
    return this.evaluate(() => globalThis.texts.shift());
  }

  answer() {
    return this.evaluate(() => globalThis.trunkline.phone.answer());
  }

  reject(reason) {
    return this.evaluate((why) => globalThis.trunkline.phone.reject(why), reason);
  }

  hangUp() {
    return this.evaluate(() => globalThis.trunkline.phone.hangUp());
  }

  hold(on) {
    return this.evaluate((wanted) => globalThis.trunkline.phone.setHold(wanted), on);
  }

  /** Calls somebody beside the present call, in a second one, and waits until they answer. */
  async consult(number, milliseconds = 15000) {
    await this.evaluate(async (to) => {
      const { phone } = globalThis.trunkline;
      const [{ Call }, { newCallId }] = await Promise.all([import("/phone/call.js"), import("/phone/signaling.js")]);
      const { signaling } = phone;
      const call = new Call({ signaling, id: newCallId(), number: to, iceServers: signaling.welcome.iceServers ?? [] });
      for (const type of ["answer", "ringing", "early-media", "answered", "candidate", "held", "ended"]) {
        signaling.addEventListener(type, ({ detail }) => { if (detail.call === call.id) call.receive(detail); });
      }
      globalThis.consultation = call;
      await call.start(await navigator.mediaDevices.getUserMedia({ audio: true }));
    }, number);
    await until(async () => {
      const { state, ending } = await this.evaluate(() => ({
        state: globalThis.consultation.state, ending: globalThis.consultation.ending,
      }));
      if (ending) throw new Error(`the second call ended: ${JSON.stringify(ending)}`);
      return state === "in-call";
    }, `${this.name}: the second call is answered`, milliseconds);
  }

  /** Connects the far ends of the present call and of the second one; gives how each ended. */
  async join(milliseconds = 15000) {
    await this.evaluate(() => {
      const { phone } = globalThis.trunkline;
      globalThis.refusals = [];
      for (const type of ["error", "transfer-failed"]) {
        phone.signaling.addEventListener(type, ({ detail }) => globalThis.refusals.push(detail));
      }
      phone.signaling.join(phone.call.id, globalThis.consultation.id);
    });
    await until(() => this.evaluate(() => {
      const [refused] = globalThis.refusals;
      if (refused) throw new Error(`the transfer failed: ${JSON.stringify(refused)}`);
      return globalThis.trunkline.phone.state === "idle" && globalThis.consultation.ending !== null;
    }), `${this.name}: both calls ended`, milliseconds);
    return this.evaluate(() => ({
      first: globalThis.trunkline.phone.lastEnding.reason, second: globalThis.consultation.ending.reason,
    }));
  }

  /** Leaves the call's sender without a track: the browser sends no RTP, and nothing is negotiated. */
  takeMicrophoneAway() {
    return this.evaluate(async () => {
      const [sender] = globalThis.trunkline.phone.call.peerConnection.getSenders();
      globalThis.takenTrack = sender.track;
      await sender.replaceTrack(null);
    });
  }

  giveMicrophoneBack() {
    return this.evaluate(async () => {
      const [sender] = globalThis.trunkline.phone.call.peerConnection.getSenders();
      await sender.replaceTrack(globalThis.takenTrack);
    });
  }

  sendDigits(digits) {
    return this.evaluate((keys) => globalThis.trunkline.phone.sendDigits(keys), digits);
  }

  receivedDigits() {
    return this.evaluate(() => globalThis.trunkline.phone.receivedDigits);
  }

  /** "idle", "calling", "ringing", "early-media", "in-call", "incoming", "accepting" */
  state() {
    return this.evaluate(() => globalThis.trunkline.phone.state);
  }

  async inState(wanted, milliseconds = 10000) {
    await until(async () => {
      const { state, ending } = await this.evaluate(() => ({
        state: globalThis.trunkline.phone.state, ending: globalThis.trunkline.phone.lastEnding,
      }));
      // The ending of an earlier call stays in sight until the next one begins.
      if (state === "idle" && ending && !["idle", "incoming"].includes(wanted)) {
        throw new Error(`the call ended (${JSON.stringify(ending)}) before it was ${wanted}`);
      }
      return state === wanted;
    }, `${this.name}: the call is ${wanted}`, milliseconds);
  }

  /** Waits for the end of the call: { reason, status, text }. */
  async ended(milliseconds = 10000) {
    await until(() => this.evaluate(() => globalThis.trunkline.phone.state === "idle" && globalThis.trunkline.phone.lastEnding !== null),
      `${this.name}: the call ended`, milliseconds);
    return this.evaluate(() => globalThis.trunkline.phone.lastEnding);
  }

  /** Dials and waits until the far end has picked up. */
  async call(number, milliseconds = 10000) {
    await this.dial(number);
    await this.inState("in-call", milliseconds);
  }

  /** Who calls: { number, name }. */
  caller() {
    return this.evaluate(() => ({ number: globalThis.trunkline.phone.call?.number, name: globalThis.trunkline.phone.call?.name }));
  }

  held() {
    return this.evaluate(() => globalThis.trunkline.phone.call?.held ?? null);
  }

  async heldIs(wanted, milliseconds = 5000) {
    await until(async () => (await this.held()) === wanted, `${this.name}: held is ${wanted}`, milliseconds);
  }

  /** The far end's strongest frequency (Hz) and level (dBFS; a full-scale sine is 0). */
  measure(seconds = 1) {
    return this.evaluate((length) => globalThis.trunkline.phone.measure(length), seconds);
  }

  /**
   * Waits until the page hears a tone of that frequency (Hz) for a second, no softer than -30 dBFS or
   * within 2 dB of `level` (dBFS), and returns what it heard. A machine that is busy for a moment
   * costs a second of sound, not the tone.
   */
  async hears(frequency, { level } = {}) {
    let heard;
    await until(async () => {
      heard = await this.measure(1);
      const loud = level === undefined ? heard.level_dbfs > -30 : Math.abs(heard.level_dbfs - level) < 2;
      return loud && Math.abs(heard.frequency - frequency) < 3;
    }, `${this.name}: hears ${frequency} Hz`, 8000).catch((error) => {
      throw new Error(`${error.message}; it hears ${JSON.stringify(heard)}`);
    });
    return heard;
  }

  /** Waits until the page hears something louder than -45 dBFS. */
  async hearsSomething() {
    let heard;
    await until(async () => {
      heard = await this.measure(2);
      return heard.level_dbfs > -45;
    }, `${this.name}: hears something`, 8000).catch((error) => {
      throw new Error(`${error.message}; it hears ${JSON.stringify(heard)}`);
    });
  }

  /**
   * Writes a WAV of what the page hears of the far end, for that long, as soon as the browser's
   * jitter buffer is at rest: it stretches and squeezes speech until it has the length that it
   * wants, at the beginning and when the machine was busy. What it warped is recorded again, a few
   * times; then it counts as it is.
   */
  async record(seconds, path) {
    let before = await this.#played();
    await until(async () => {
      const now = await this.#played();
      const rests = now.samples > before.samples && now.warped === before.warped;
      before = now;
      return rests;
    }, `${this.name}: the jitter buffer is at rest`, 15000, 1000);
    for (let attempt = 0; attempt < RECORDING_ATTEMPTS; attempt += 1) {
      before = await this.#played();
      await this.#recordOnce(seconds, path);
      const now = await this.#played();
      if (now.warped - before.warped <= WARP_LIMIT * (now.samples - before.samples)) break;
    }
    return path;
  }

  /** Chromium alone can: the samples are those of its audio track, before any device. */
  async #recordOnce(seconds, path) {
    const { rate, samples } = await this.evaluate(async (length) => {
      const [{ track }] = globalThis.trunkline.phone.peerConnection.getReceivers();
      // Room for what comes while the page is busy: nothing of it may be lost.
      const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
      const parts = [];
      let sampleRate = 0;
      for (let count = 0; sampleRate === 0 || count < length * sampleRate;) {
        const { value: heard, done } = await reader.read();
        if (done) throw new Error("the far end's track ended");
        if (sampleRate !== 0 && sampleRate !== heard.sampleRate) throw new Error(`${sampleRate} Hz became ${heard.sampleRate}`);
        sampleRate = heard.sampleRate;
        // Of several channels the first: they are one voice.
        const part = new Float32Array(heard.numberOfFrames);
        heard.copyTo(part, { planeIndex: 0, format: "f32-planar" });
        heard.close();
        parts.push(part);
        count += part.length;
      }
      await reader.cancel();
      const whole = Int16Array.from(parts.flatMap((part) => Array.from(part, (sample) => Math.round(Math.max(-1, Math.min(1, sample)) * 32767))));
      const octets = new Uint8Array(whole.buffer);
      let text = "";
      for (let from = 0; from < octets.length; from += 32768) text += String.fromCharCode(...octets.subarray(from, from + 32768));
      return { rate: sampleRate, samples: btoa(text) };
    }, seconds);
    writeFileSync(path, wav(rate, Buffer.from(samples, "base64")));
  }

  /** performance.now() of the call's steps. */
  marks() {
    return this.evaluate(() => globalThis.trunkline.phone.marks);
  }

  /** The audio line's statistics of the peer connection: { inbound, outbound, pair, codec names }. */
  statistics() {
    return this.evaluate(async () => {
      const report = new Map((await globalThis.trunkline.phone.peerConnection.getStats()).entries());
      const all = [...report.values()];
      const inbound = all.find((one) => one.type === "inbound-rtp" && one.kind === "audio");
      const outbound = all.find((one) => one.type === "outbound-rtp" && one.kind === "audio");
      const pair = all.find((one) => one.type === "candidate-pair" && (one.selected || (one.nominated && one.state === "succeeded")));
      return {
        inbound, outbound, pair,
        inboundCodec: report.get(inbound?.codecId)?.mimeType,
        outboundCodec: report.get(outbound?.codecId)?.mimeType,
        localPort: report.get(pair?.localCandidateId)?.port,
      };
    });
  }

  /** The longest time in ms without a packet from the far end, while `during` runs. */
  async longestSilence(during) {
    await this.evaluate(() => {
      const receiver = globalThis.trunkline.phone.peerConnection.getReceivers()[0];
      const watch = { longest: 0, last: performance.now(), timestamp: null };
      watch.timer = setInterval(() => {
        const newest = receiver.getSynchronizationSources()[0]?.rtpTimestamp ?? null;
        const now = performance.now();
        if (newest !== watch.timestamp) {
          watch.timestamp = newest;
          watch.last = now;
        }
        watch.longest = Math.max(watch.longest, now - watch.last);
      }, 10);
      globalThis.silenceWatch = watch;
    });
    await during();
    return this.evaluate(() => {
      clearInterval(globalThis.silenceWatch.timer);
      return globalThis.silenceWatch.longest;
    });
  }

  /** What the page and the browser said, for the report of a failure. */
  diary() {
    return this.console.slice(-30).join("\n");
  }

  /** Samples of the far end so far, and how many of them the jitter buffer put in or took out. */
  async #played() {
    const { inbound } = await this.statistics();
    return {
      samples: inbound?.totalSamplesReceived ?? 0,
      warped: (inbound?.insertedSamplesForDeceleration ?? 0) + (inbound?.removedSamplesForAcceleration ?? 0),
    };
  }

  async #until(question, what, milliseconds = 15000) {
    await until(() => this.evaluate(question), `${this.name}: ${what}`, milliseconds);
  }
}

/**
 * Runs in the page before its own scripts: leaves only `codecs` (like "audio/PCMU", with what is
 * no codec of speech) in every offer and answer, as a browser without the others would.
 */
export function onlyCodecs(codecs) {
  const wanted = (codec) => codecs.includes(codec.mimeType) || /telephone-event|CN/.test(codec.mimeType);
  const prefer = (connection) => {
    for (const transceiver of connection.getTransceivers()) {
      transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities("audio").codecs.filter(wanted));
    }
  };
  for (const name of ["createOffer", "createAnswer"]) {
    const original = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = function create(...rest) {
      prefer(this);
      return original.apply(this, rest);
    };
  }
}
