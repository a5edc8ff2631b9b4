// baresip: a phone. It answers by itself unless told otherwise, says a tone of its own and writes
// what it hears to a WAV. Several may stand beside each other.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addresses } from "./network.mjs";
import { Process, until } from "./process.mjs";
import { listening, untilHeard, wav } from "./recording.mjs";

/** What the phones say, in Hz. */
export const PHONE_TONE = 620;
export const SECOND_PHONE_TONE = 740;

/**
 * The phones: 2001 and 2002 are Asterisk's; the forks register at Kamailio as one user; `direct`
 * registers nowhere. Calls to a phone that did not register are its own only at the first address
 * of its machine.
 */
export const phones = {
  first: { user: "2001", password: "phone", tone: PHONE_TONE, place: 0 },
  second: { user: "2002", password: "phone", tone: SECOND_PHONE_TONE, place: 1 },
  fork: { user: "3001", registrar: addresses.kamailio, tone: PHONE_TONE, place: 0 },
  otherFork: { user: "3001", registrar: addresses.kamailio, tone: SECOND_PHONE_TONE, place: 1 },
  direct: { user: "4001", registrar: null, host: addresses.asterisk, tone: PHONE_TONE, place: 0 },
};

/** A call ends with its source file: longer than any test. */
const TONE_SECONDS = 300;

/** A WAV of that tone at 8 kHz, 16 bit, mono, -12 dBFS. */
export function toneFile(frequency) {
  const samples = Buffer.alloc(2 * TONE_SECONDS * 8000);
  for (let index = 0; 2 * index < samples.length; index += 1) {
    samples.writeInt16LE(Math.round(8230 * Math.sin((2 * Math.PI * frequency * index) / 8000)), 2 * index);
  }
  return wav(8000, samples);
}

export class Baresip {
  /**
   * @param {object} place { root, id, network, logs }
   * @param {object} phone one of `phones`, or like them: user, password, registrar (address, or
   *   null for none), host (its own address), tone in Hz, place (0, 1, ...: which ports), answers (false: it only rings),
   *   transport ("udp", "tcp" or "tls"), srtp (true: SDES), certificates (Certificates, for "tls")
   */
  static async start(place, { user, password = "phone", registrar = addresses.asterisk, host = addresses.phone, tone, place: number, answers = true, transport = "udp", srtp = false, certificates }) {
    const phone = new Baresip();
    phone.network = place.network;
    phone.sipPort = 5062 + number;
    phone.controlPort = 4444 + number;
    phone.address = `${host}:${phone.sipPort}`;
    const name = `baresip-${number}`;
    phone.inside = `/run/trunkline-interop/${place.id}-${name}`;
    phone.outside = join(place.root, phone.inside);
    rmSync(phone.outside, { recursive: true, force: true });
    mkdirSync(phone.outside, { recursive: true });
    const rtp = 33000 + 200 * number;
    phone.rtpPorts = [rtp, rtp + 100];
    if (certificates) {
      const own = certificates.sign("phone.test", host);
      writeFileSync(join(phone.outside, "own.pem"), Buffer.concat([own.certificate, own.key].map((file) => readFileSync(file))));
      copyFileSync(certificates.authority, join(phone.outside, "ca.pem"));
    }
    writeFileSync(join(phone.outside, "config"), [
      `sip_listen ${phone.address}`,
      ...(certificates ? [`sip_certificate ${phone.inside}/own.pem`, `sip_cafile ${phone.inside}/ca.pem`, "sip_verify_server yes"] : []),
      // Smaller buffers than these make 40 ms jumps.
      "audio_buffer 80-400",
      `audio_source aufile,${phone.inside}/tone.wav`,
      "audio_player aubridge,nowhere",
      "audio_alert aubridge,nowhere",
      "audio_level no",
      `rtp_ports ${rtp}-${rtp + 100}`,
      `snd_path ${phone.inside}`,
      `ctrl_tcp_listen 127.0.0.1:${phone.controlPort}`,
      "module_path /usr/lib/baresip/modules",
      ...["g711", "aufile", "aubridge", "sndfile", "ctrl_tcp", ...(srtp ? ["srtp"] : [])].map((one) => `module ${one}.so`),
      ...["account", "menu"].map((one) => `module_app ${one}.so`),
    ].join("\n") + "\n");
    writeFileSync(join(phone.outside, "accounts"), [
      `<sip:${user}@${registrar ?? phone.address}${transport === "tls" ? ":5061" : ""};transport=${transport}>`,
      `auth_pass=${password}`, `answermode=${answers ? "auto" : "manual"}`, "audio_codecs=PCMU/8000/1",
      `regint=${registrar === null ? 0 : 60}`, "ptime=20", ...(srtp ? ["mediaenc=srtp-mand"] : []),
    ].join(";") + "\n");
    writeFileSync(join(phone.outside, "contacts"), "");
    writeFileSync(join(phone.outside, "tone.wav"), toneFile(tone));
    phone.process = new Process(
      place.network.inside(place.network.pbx, "chroot", place.root, "baresip", "-f", phone.inside),
      { log: join(place.logs, `${name}.log`) });
    await phone.process.says(registrar === null ? /baresip is ready/i : /200 OK|All 1 useragent registered/i);
    return phone;
  }

  /** A command of baresip's menu: "hold", "resume", "hangup", "dial" with a number. */
  command(command, parameters) {
    const text = JSON.stringify({ command, ...(parameters ? { params: parameters } : {}) });
    const result = spawnSync("ip", ["netns", "exec", this.network.pbx, process.execPath, "-e", `
      const socket = require("node:net").connect(${this.controlPort}, "127.0.0.1");
      let heard = "";
      socket.on("data", (data) => {
        heard += data;
        if (!heard.includes('"response":true')) return;
        process.stdout.write(heard);
        socket.destroy();
      });
      socket.write(process.argv[1]);
      // A busy machine: it answers when it can.
      setTimeout(() => socket.destroy(), 10000).unref();
    `, `${Buffer.byteLength(text)}:${text},`], { encoding: "utf8" });
    // Events come on the same socket. "resume" says "ok":false although it resumes: what a command
    // did is seen at the far end.
    if (!/"response":true/.test(result.stdout)) {
      throw new Error(`baresip ${command}: ${result.stdout} ${result.stderr}`);
    }
  }

  /** From now on keeps the keys that the phone hears, for `digits`. A command ends that. */
  async keepDigits() {
    await this.listener?.stop("SIGKILL");
    this.listener = new Process(this.network.inside(this.network.pbx, process.execPath, "-e", `
      const socket = require("node:net").connect(${this.controlPort}, "127.0.0.1", () => console.log("listening"));
      socket.on("data", (data) => process.stdout.write(data));
    `));
    await this.listener.says(/listening/);
  }

  /** The keys that it heard since then. */
  digits() {
    return [...this.listener.output.matchAll(/\{[^{}]*"type":"CALL_DTMF_START"[^{}]*\}/g)].map(([text]) => JSON.parse(text).param).join("");
  }

  /** Waits until the phone hears that frequency (Hz), or hears it no longer, in mid-call. */
  hears(frequency, wanted = true, milliseconds = 8000) {
    return untilHeard(listening(() => this.#newestRecording(), frequency), frequency, wanted, milliseconds);
  }

  #newestRecording() {
    const newest = readdirSync(this.outside).filter((one) => /dec.*\.wav$/.test(one)).sort().at(-1);
    return newest === undefined ? undefined : join(this.outside, newest);
  }

  /** Waits until the phone has answered. */
  async inCall() {
    const count = (pattern) => [...this.process.output.matchAll(pattern)].length;
    await until(() => count(/Call established/g) > count(/session closed|terminated/g), "the phone is in a call");
  }

  /** What the phone heard, once its call is over. */
  async recording() {
    return until(() => this.#newestRecording(), "baresip's recording");
  }

  async stop() {
    await this.listener?.stop("SIGKILL");
    await this.process.stop();
    rmSync(this.outside, { recursive: true, force: true });
  }
}
