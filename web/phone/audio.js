/**
 * Sound at the page's end: the microphone, devices, level meters, measurement
 * of what the far end sends, and the tones the phone makes itself.
 *
 * What the far end says is played by an <audio> element, not by WebAudio: the
 * element may start by itself once a person has clicked, and it follows the
 * choice of speaker. WebAudio only listens (AnalyserNode).
 */

import { meanSquare, measureStream } from "./measurement.js";

/** Below this a meter shows nothing, in dB relative to full scale. */
const METER_FLOOR_DB = -60;

/** The pairs of ITU-T Q.23: [low, high] in Hz. */
const KEY_FREQUENCIES = {
  1: [697, 1209], 2: [697, 1336], 3: [697, 1477], A: [697, 1633],
  4: [770, 1209], 5: [770, 1336], 6: [770, 1477], B: [770, 1633],
  7: [852, 1209], 8: [852, 1336], 9: [852, 1477], C: [852, 1633],
  "*": [941, 1209], 0: [941, 1336], "#": [941, 1477], D: [941, 1633],
};

/** The ringing tone as a caller knows it at home: seconds on, seconds off. */
const RINGBACK_NORTH_AMERICA = { frequencies: [440, 480], on: 2, off: 4 };
const RINGBACK_EUROPE = { frequencies: [425], on: 1, off: 4 };

/** What an incoming call sounds like: [frequency in Hz, start in s] of each soft note. */
const RING_NOTES = [
  [659.3, 0], [784, 0.16], [987.8, 0.32], [784, 0.48],
  [659.3, 0.9], [784, 1.06], [987.8, 1.22], [784, 1.38],
];
const RING_SECONDS = 3.2;

/** How a person's region rings, by the language tag of the browser. */
export function ringbackFor(language = navigator.language) {
  return /-(US|CA|PR)\b/i.test(language) ? RINGBACK_NORTH_AMERICA : RINGBACK_EUROPE;
}

/**
 * Asks for the microphone. Rejects with a DOMException whose `name` words.js explains.
 * @param {{deviceId?: string, processing?: boolean}} wish `processing`: echo
 *   cancellation, noise suppression and automatic gain, all or none
 */
export async function openMicrophone({ deviceId, processing = true } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new DOMException("no media devices outside a secure context", "InsecureContextError");
  }
  const audio = {
    echoCancellation: processing,
    noiseSuppression: processing,
    autoGainControl: processing,
    channelCount: { ideal: 1 },
  };
  if (deviceId) {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: { ...audio, deviceId: { exact: deviceId } } });
    } catch (error) {
      // The chosen microphone was unplugged: any other is better than no call.
      if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
    }
  }
  return navigator.mediaDevices.getUserMedia({ audio });
}

export function closeMicrophone(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** @returns {Promise<{microphones: MediaDeviceInfo[], speakers: MediaDeviceInfo[]}>} */
export async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return {
    microphones: devices.filter(({ kind }) => kind === "audioinput"),
    speakers: devices.filter(({ kind }) => kind === "audiooutput"),
  };
}

/** Reads one stream's level. */
class Listener {
  #source;
  #analyser;
  #samples;

  constructor(context, stream, windowSamples) {
    this.#source = context.createMediaStreamSource(stream);
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = windowSamples;
    this.#source.connect(this.#analyser);
    this.#samples = new Float32Array(windowSamples);
  }

  /** The mean square of the newest samples; a sine at full scale has 0.5. */
  power() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return meanSquare(this.#samples);
  }

  /** 0 (silent) to 1 (full scale), even steps in dB, for a meter. */
  level() {
    const decibels = 10 * Math.log10(this.power() || Number.MIN_VALUE);
    return Math.min(1, Math.max(0, 1 - decibels / METER_FLOOR_DB));
  }

  close() {
    this.#source.disconnect();
  }
}

const METER_WINDOW = 1024;
/** The newest 2.7 ms at 48 kHz decide whether sound has begun. */
const ONSET_WINDOW = 128;

export class Sound {
  #context = null;
  #tone = null;
  #listeners = new Map();

  /** @param {HTMLAudioElement} element plays the far end */
  constructor(element) {
    this.element = element;
  }

  /**
   * Lets the page make sound. Browsers insist on a click or key press before;
   * until then (or without a sound card) the context sleeps and nobody waits for it.
   */
  wake() {
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    if (this.#context.state === "suspended") this.#context.resume().catch(() => {});
  }

  get speakerChoice() {
    return typeof this.element.setSinkId === "function";
  }

  async setSpeaker(deviceId) {
    if (this.speakerChoice) await this.element.setSinkId(deviceId);
    await this.#context?.setSinkId?.(deviceId);
  }

  play(stream) {
    this.element.srcObject = stream;
    return this.element.play();
  }

  stopPlaying() {
    this.element.pause();
    this.element.srcObject = null;
  }

  /** Listens to `stream` under a name of the caller's choice, "microphone" or "far-end". */
  listen(name, stream) {
    this.unlisten(name);
    if (!this.#context) return;
    this.#listeners.set(name, {
      stream,
      meter: new Listener(this.#context, stream, METER_WINDOW),
    });
  }

  unlisten(name) {
    this.#listeners.get(name)?.meter.close();
    this.#listeners.delete(name);
  }

  /** 0 to 1; 0 for a name nobody listens to. */
  level(name) {
    return this.#listeners.get(name)?.meter.level() ?? 0;
  }

  /** A function that says whether sound is there right now. */
  onsetDetector(name) {
    const stream = this.#listeners.get(name)?.stream;
    if (!stream) return null;
    const listener = new Listener(this.#context, stream, ONSET_WINDOW);
    // -70 dB: above the idle noise of G.711 companding, below any speech.
    return { heard: () => listener.power() > 1e-7, close: () => listener.close() };
  }

  /** See measurement.js. */
  async measure(name, seconds) {
    const stream = this.#listeners.get(name)?.stream;
    if (!stream) throw new Error(`nothing to measure: no ${name} stream`);
    return measureStream(this.#context, stream, seconds);
  }

  /** A key's own tone, for the person who pressed it; the far end hears nothing of it. */
  playKey(digit) {
    const frequencies = KEY_FREQUENCIES[digit];
    if (!frequencies || !this.#context) return;
    const now = this.#context.currentTime;
    const gain = this.#context.createGain();
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(0.06, now + 0.005);
    gain.gain.setValueAtTime(0.06, now + 0.11);
    gain.gain.linearRampToValueAtTime(0, now + 0.13);
    gain.connect(this.#context.destination);
    for (const frequency of frequencies) {
      const oscillator = new OscillatorNode(this.#context, { frequency });
      oscillator.connect(gain);
      oscillator.start(now);
      oscillator.stop(now + 0.14);
    }
  }

  /** The ringing tone a caller hears while nobody answers yet. */
  startRingback() {
    const { frequencies, on, off } = ringbackFor();
    this.#startLoop(on + off, (time) => {
      if (time >= on) return 0;
      const edge = Math.min(1, time / 0.01, (on - time) / 0.01);
      const sum = frequencies.reduce((all, frequency) => all + Math.sin(2 * Math.PI * frequency * time), 0);
      return (0.08 * edge * sum) / frequencies.length;
    });
  }

  /** The bell of an incoming call. */
  startRing() {
    this.#startLoop(RING_SECONDS, (time) => {
      let sum = 0;
      for (const [frequency, start] of RING_NOTES) {
        const age = time - start;
        if (age < 0 || age > 0.9) continue;
        sum += Math.sin(2 * Math.PI * frequency * age) * Math.exp(-6 * age) * Math.min(1, age / 0.004);
      }
      return 0.16 * sum;
    });
  }

  /** A quiet double beep in a call, for a second caller. */
  startCallWaiting() {
    this.#startLoop(5, (time) => {
      const sounding = time < 0.15 || (time > 0.3 && time < 0.45);
      return sounding ? 0.03 * Math.sin(2 * Math.PI * 425 * time) : 0;
    });
  }

  stopTone() {
    this.#tone?.stop();
    this.#tone = null;
  }

  #startLoop(seconds, sampleAt) {
    this.stopTone();
    if (!this.#context) return;
    const rate = this.#context.sampleRate;
    const buffer = this.#context.createBuffer(1, Math.round(seconds * rate), rate);
    const samples = buffer.getChannelData(0);
    for (let index = 0; index < samples.length; index += 1) samples[index] = sampleAt(index / rate);
    this.#tone = new AudioBufferSourceNode(this.#context, { buffer, loop: true });
    this.#tone.connect(this.#context.destination);
    this.#tone.start();
  }
}
