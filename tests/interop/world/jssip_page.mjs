// A page with JsSIP as its authors publish it, on a web server of its own: the only place of the tests
// that knows JsSIP.

import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { openChromium } from "./chromium.mjs";
import { script } from "./modules.mjs";
import { until } from "./process.mjs";
import { wav } from "./recording.mjs";

/** Where the page is served from; a gateway must allow it. */
export const ORIGIN = "http://127.0.0.1:8099";

const PAGE = `<!DOCTYPE html><meta charset="utf-8"><title>JsSIP</title><script src="/jssip.js"></script>`;

/** Runs in the page: what a page of JsSIP's documentation does, and a diary. */
function usePhone({ socket, uri, password, register }) {
  const { JsSIP } = globalThis;
  const seen = [];
  const phone = { seen, session: null, state: "idle" };
  globalThis.phone = phone;
  phone.agent = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(socket)], uri, password, register, display_name: "Alice",
  });
  phone.media = { mediaConstraints: { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false }, video: false } };
  for (const event of ["connected", "disconnected", "registered", "unregistered", "registrationFailed"]) {
    phone.agent.on(event, (data) => seen.push({ event, status: data?.response?.status_code, cause: data?.cause }));
  }
  phone.agent.on("newRTCSession", ({ session, originator, request }) => {
    phone.session = session;
    phone.state = originator === "remote" ? "incoming" : "calling";
    phone.caller = originator === "remote" ? request.from.uri.user : null;
    const play = (connection) => connection.addEventListener("track", ({ track }) => {
      phone.audio = new Audio();
      phone.audio.srcObject = new MediaStream([track]);
      phone.audio.play();
    });
    // Of a call that the page makes it is there already.
    if (session.connection) play(session.connection);
    session.on("peerconnection", ({ peerconnection }) => play(peerconnection));
    session.on("progress", ({ response }) => seen.push({
      event: "progress", status: response?.status_code, described: Boolean(response?.body),
    }));
    session.on("confirmed", () => { phone.state = "in-call"; seen.push({ event: "confirmed" }); });
    for (const event of ["ended", "failed"]) {
      session.on(event, ({ originator: by, cause, message }) => {
        phone.state = "idle";
        seen.push({ event, by, cause, status: message?.status_code });
      });
    }
  });
  phone.agent.start();
}

export class JsSipPage {
  #server;

  /** @param {object} options gateway: a Gateway; user: { name, password }; register; microphone: WAV */
  static async open({ gateway, user, register = true, microphone }) {
    const page = new JsSipPage();
    const library = script("jssip", "JsSIP");
    page.#server = createServer((request, response) => {
      const isLibrary = request.url === "/jssip.js";
      response.setHeader("Content-Type", isLibrary ? "text/javascript" : "text/html");
      response.end(isLibrary ? library : PAGE);
    });
    await new Promise((resolve) => page.#server.listen(Number(new URL(ORIGIN).port), "127.0.0.1", resolve));
    page.browser = await openChromium({ url: `${ORIGIN}/`, microphone });
    page.name = "JsSIP";
    const address = new URL("/sip", gateway.url);
    address.protocol = "ws:";
    await page.browser.evaluate(usePhone, {
      socket: String(address), uri: `sip:${user.name}@pbx.example`, password: user.password, register,
    });
    return page;
  }

  diary() {
    return this.browser.console.join("\n");
  }

  async close() {
    this.#server.close();
    await this.browser.close();
  }

  /** What JsSIP told its page, in order. */
  seen() {
    return this.browser.evaluate(() => globalThis.phone.seen);
  }

  /** Waits until JsSIP told of that event, and gives what it said. */
  async tells(event, milliseconds = 10000) {
    let told;
    await until(async () => {
      told = (await this.seen()).find((one) => one.event === event);
      return Boolean(told);
    }, `JsSIP tells of ${event}`, milliseconds).catch(async (error) => {
      throw new Error(`${error.message}; it told ${JSON.stringify(await this.seen())}`);
    });
    return told;
  }

  /** Forgets what was told. */
  forget() {
    return this.browser.evaluate(() => { globalThis.phone.seen.length = 0; });
  }

  async inState(wanted, milliseconds = 10000) {
    await until(() => this.browser.evaluate((state) => globalThis.phone.state === state, wanted), `JsSIP is ${wanted}`, milliseconds)
      .catch(async (error) => { throw new Error(`${error.message}; it told ${JSON.stringify(await this.seen())}`); });
  }

  dial(number) {
    return this.browser.evaluate((to) => { globalThis.phone.agent.call(to, globalThis.phone.media); }, number);
  }

  answer() {
    return this.browser.evaluate(() => { globalThis.phone.session.answer(globalThis.phone.media); });
  }

  hangUp() {
    return this.browser.evaluate(() => { globalThis.phone.session.terminate(); });
  }

  unregister() {
    return this.browser.evaluate(() => { globalThis.phone.agent.unregister(); });
  }

  caller() {
    return this.browser.evaluate(() => globalThis.phone.caller);
  }

  /** Writes a WAV of what the page hears of the far end, for that long. */
  async record(seconds, path) {
    const { rate, samples } = await this.browser.evaluate(async (length) => {
      const [{ track }] = globalThis.phone.session.connection.getReceivers();
      if (track.readyState !== "live") throw new Error("the far end's track has ended");
      const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
      const heard = [];
      let sampleRate = 0;
      while (sampleRate === 0 || heard.length < length * sampleRate) {
        const { value } = await reader.read();
        sampleRate = value.sampleRate;
        const part = new Float32Array(value.numberOfFrames);
        value.copyTo(part, { planeIndex: 0, format: "f32-planar" });
        value.close();
        for (const sample of part) heard.push(Math.round(Math.max(-1, Math.min(1, sample)) * 32767));
      }
      await reader.cancel();
      return { rate: sampleRate, samples: heard };
    }, seconds);
    writeFileSync(path, wav(rate, Buffer.from(Int16Array.from(samples).buffer)));
    return path;
  }
}

/** Writes a WAV of 4 s of a tone, for a microphone. */
export function toneMicrophone(frequency, path) {
  const rate = 48000;
  const samples = Int16Array.from({ length: 4 * rate }, (_, at) => Math.round(8000 * Math.sin(2 * Math.PI * frequency * at / rate)));
  writeFileSync(path, wav(rate, Buffer.from(samples.buffer)));
  return path;
}
