// baresip, the phone 2001 that is registered to Asterisk. It answers by itself, says a tone of
// its own and writes what it hears to a WAV.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addresses } from "./network.mjs";
import { Process, until } from "./process.mjs";

/** What the phone says, in Hz. */
export const PHONE_TONE = 620;
const CONTROL_PORT = 4444;
/** A call ends with its source file: longer than any test. */
const TONE_SECONDS = 300;

/** A WAV of that tone at 8 kHz, 16 bit, mono, -12 dBFS. */
function toneFile(frequency) {
  const count = TONE_SECONDS * 8000;
  const file = Buffer.alloc(44 + 2 * count);
  file.write("RIFF", 0);
  file.writeUInt32LE(36 + 2 * count, 4);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(8000, 24);
  file.writeUInt32LE(16000, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36);
  file.writeUInt32LE(2 * count, 40);
  for (let index = 0; index < count; index += 1) {
    file.writeInt16LE(Math.round(8230 * Math.sin((2 * Math.PI * frequency * index) / 8000)), 44 + 2 * index);
  }
  return file;
}

export class Baresip {
  /** @param {object} place { root, id, network, logs } */
  static async start(place) {
    const phone = new Baresip();
    phone.network = place.network;
    phone.inside = `/run/trunkline-interop/${place.id}-baresip`;
    phone.outside = join(place.root, phone.inside);
    rmSync(phone.outside, { recursive: true, force: true });
    mkdirSync(phone.outside, { recursive: true });
    writeFileSync(join(phone.outside, "config"), [
      `sip_listen ${addresses.phone}:5062`,
      // Smaller buffers than these make 40 ms jumps.
      "audio_buffer 80-400",
      `audio_source aufile,${phone.inside}/tone.wav`,
      "audio_player aubridge,nowhere",
      "audio_alert aubridge,nowhere",
      "audio_level no",
      "rtp_ports 33000-33100",
      `snd_path ${phone.inside}`,
      "ctrl_tcp_listen 127.0.0.1:" + CONTROL_PORT,
      "module_path /usr/lib/baresip/modules",
      ...["g711", "aufile", "aubridge", "sndfile", "ctrl_tcp"].map((name) => `module ${name}.so`),
      ...["account", "menu"].map((name) => `module_app ${name}.so`),
    ].join("\n") + "\n");
    writeFileSync(join(phone.outside, "accounts"),
      `<sip:2001@${addresses.asterisk}>;auth_pass=phone;answermode=auto;audio_codecs=PCMU/8000/1;regint=60;ptime=20\n`);
    writeFileSync(join(phone.outside, "contacts"), "");
    writeFileSync(join(phone.outside, "tone.wav"), toneFile(PHONE_TONE));
    phone.process = new Process(
      place.network.inside(place.network.pbx, "chroot", place.root, "baresip", "-f", phone.inside),
      { log: join(place.logs, "baresip.log") });
    await phone.process.says(/200 OK|All 1 useragent registered/i);
    return phone;
  }

  /** A command of baresip's menu: "hold", "resume", "hangup", "dial" with a number. */
  command(command, parameters) {
    const text = JSON.stringify({ command, ...(parameters ? { params: parameters } : {}) });
    const result = spawnSync("ip", ["netns", "exec", this.network.pbx, process.execPath, "-e", `
      const socket = require("node:net").connect(${CONTROL_PORT}, "127.0.0.1");
      let heard = "";
      socket.on("data", (data) => {
        heard += data;
        if (!heard.includes('"response":true')) return;
        process.stdout.write(heard);
        socket.destroy();
      });
      socket.write(process.argv[1]);
      setTimeout(() => socket.destroy(), 3000).unref();
    `, `${Buffer.byteLength(text)}:${text},`], { encoding: "utf8" });
    // Events come on the same socket. "resume" says "ok":false although it resumes: what a command
    // did is seen at the far end.
    if (!/"response":true/.test(result.stdout)) {
      throw new Error(`baresip ${command}: ${result.stdout} ${result.stderr}`);
    }
  }

  /** Waits until the phone has answered. */
  async inCall() {
    const count = (pattern) => [...this.process.output.matchAll(pattern)].length;
    await until(() => count(/Call established/g) > count(/session closed|terminated/g), "the phone is in a call");
  }

  /** What the phone heard, once its call is over. */
  async recording() {
    return join(this.outside, await until(
      () => readdirSync(this.outside).filter((one) => /dec.*\.wav$/.test(one)).sort().at(-1),
      "baresip's recording"));
  }

  async stop() {
    await this.process.stop();
    rmSync(this.outside, { recursive: true, force: true });
  }
}
