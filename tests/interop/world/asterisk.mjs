// Asterisk 22 (from Debian sid) or 16 (bullseye) in the PBX's namespace, with a run folder of its own.

import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Audio } from "./audio.mjs";
import { addresses } from "./network.mjs";
import { Process, sleep, until } from "./process.mjs";

const MODULES = { sid: "/usr/lib/x86_64-linux-gnu/asterisk/modules", bullseye: "/usr/lib/asterisk/modules" };

// Files that Asterisk complains about when they are missing; empty they mean their defaults.
const EMPTY = ["acl", "ccss", "cdr", "cel", "features", "pjproject", "udptl"];
const FOLDERS = ["etc", "cache", "lib", "lib/keys", "spool", "run", "log", "recordings", "speech"];
/** How often 614 says the speech: for as long as any test listens, without a seam between. */
const SPEECH_PASSES = 9;

/** What Asterisk 16 does not know yet: one algorithm of digest under another name, some modules. */
function olderText(text, modules) {
  return text
    .replaceAll(/^auth_type=digest$/gm, "auth_type=userpass")
    .replaceAll(/^supported_algorithms_uas=.*$/gm, "")
    .replaceAll(/^load=(\S+)$/gm, (line, name) => (existsSync(join(modules, name)) ? line : ""));
}

const TLS = `
[transport-tls]
type=transport
protocol=tls
bind=0.0.0.0:5061
cert_file=RUN/etc/own.pem
priv_key_file=RUN/etc/own.key
ca_list_file=RUN/etc/ca.pem
method=tlsv1_2
verify_server=yes
verify_client=yes
require_client_cert=yes

[gateway-tls]
type=endpoint
context=from-gateway
disallow=all
allow=ulaw
aors=gateway-tls
direct_media=no
rtp_symmetric=yes

[gateway-tls]
type=aor
contact=sip:192.0.2.10:5061\\;transport=tls
`;

export class Asterisk {
  /**
   * @param {object} place { repository, roots, audio, id, network, logs }
   * @param {object} options exampleOnly true: the operator's example alone, nothing of the tests';
   *   suite: "sid" (22) or "bullseye" (16); address: where it listens;
   *   certificates (Certificates): speaks TLS too, with a certificate for asterisk.test, and wants
   *   one from whoever connects
   */
  static async start(place, { exampleOnly = false, suite = "sid", address = addresses.asterisk, certificates } = {}) {
    const asterisk = new Asterisk();
    const name = address === addresses.asterisk ? "asterisk" : "asterisk-second";
    asterisk.root = place.roots[suite];
    asterisk.inside = `/run/trunkline-interop/${place.id}-${name}`;
    asterisk.outside = join(asterisk.root, asterisk.inside);
    rmSync(asterisk.outside, { recursive: true, force: true });
    for (const folder of FOLDERS) mkdirSync(join(asterisk.outside, folder), { recursive: true });

    const etc = join(asterisk.outside, "etc");
    const example = join(place.repository, "config/asterisk");
    cpSync(join(place.repository, "tests/interop/asterisk"), etc, { recursive: true });
    cpSync(example, exampleOnly ? etc : join(etc, "example"), { recursive: true });
    if (certificates) {
      const own = certificates.sign("asterisk.test", addresses.asterisk);
      cpSync(own.certificate, join(etc, "own.pem"));
      cpSync(own.key, join(etc, "own.key"));
      cpSync(certificates.authority, join(etc, "ca.pem"));
      appendFileSync(join(etc, "pjsip.conf"), TLS);
    }
    const speech = readFileSync(new Audio(place.repository, place.audio).octets);
    writeFileSync(join(asterisk.outside, "speech/reference.ulaw"), Buffer.concat(Array(SPEECH_PASSES).fill(speech)));
    for (const one of EMPTY) writeFileSync(join(etc, `${one}.conf`), "");
    for (const folder of [etc, join(etc, "example")]) {
      if (!existsSync(folder)) continue;
      for (const file of readdirSync(folder).filter((one) => one.endsWith(".conf"))) {
        const path = join(folder, file);
        let text = readFileSync(path, "utf8")
          .replaceAll("RUN/", `${asterisk.inside}/`)
          .replaceAll("MODULES", MODULES[suite])
          .replaceAll("192.0.2.10", addresses.gateway);
        // Two of them stand in one namespace.
        if (!exampleOnly) text = text.replaceAll("0.0.0.0:", `${address}:`);
        if (suite === "bullseye") text = olderText(text, join(asterisk.root, MODULES[suite]));
        writeFileSync(path, text);
      }
    }

    asterisk.process = new Process(
      place.network.inside(place.network.pbx, "chroot", asterisk.root,
        "asterisk", "-f", "-C", `${asterisk.inside}/etc/asterisk.conf`, "-vvv"),
      { log: join(place.logs, `${name}.log`) });
    await until(() => {
      if (asterisk.process.ended) throw new Error(`asterisk ended: ${asterisk.process.output.slice(-3000)}`);
      try { return asterisk.command("core waitfullybooted").includes("fully booted"); } catch { return false; }
    }, "asterisk booted", 30000, 200);
    return asterisk;
  }

  /** What `asterisk -rx` answers. */
  command(text) {
    return execFileSync("chroot", [this.root, "asterisk", "-C", `${this.inside}/etc/asterisk.conf`, "-rx", text],
      { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 10000 });
  }

  /** Calls `user` of the page through the gateway; what answers is a number of the dial plan. */
  call(user, number, endpoint = "gateway") {
    this.command(`channel originate PJSIP/${user}@${endpoint} extension ${number}@from-gateway`);
  }

  activeCalls() {
    return Number(/(\d+) active channel/.exec(this.command("core show channels count"))[1]);
  }

  /** True while those two endpoints talk through one bridge and no other channel is there. */
  connects(one, other) {
    const channels = this.command("core show channels concise").split("\n").filter((line) => line.includes("!"))
      .map((line) => line.split("!"));
    // The bridge is the last field but one.
    const bridges = new Set(channels.map((fields) => fields.at(-2)));
    const has = (endpoint) => channels.some(([name]) => name.startsWith(`${endpoint}-`));
    return channels.length === 2 && bridges.size === 1 && !bridges.has("") && has(one) && has(other);
  }

  async allCallsEnded(milliseconds = 5000) {
    await until(() => this.activeCalls() === 0, "asterisk has no channel left", milliseconds, 200);
  }

  hangUpAll() {
    this.command("channel request hangup all");
  }

  /** Digits that Asterisk heard since it started: [{ digit, duration in ms }]. */
  digits() {
    const path = join(this.outside, "log/dtmf");
    if (!existsSync(path)) return [];
    return [...readFileSync(path, "utf8").matchAll(/DTMF end '(.)' received on \S+, duration (\d+) ms/g)]
      .map(([, digit, duration]) => ({ digit, duration: Number(duration) }));
  }

  contacts() {
    return this.command("pjsip show contacts");
  }

  /**
   * From now on, keeps what is said by SIP. The answer counts the requests of those methods inside
   * dialogs since then, each once however often it was repeated: { received, sent }.
   */
  watch() {
    this.command("pjsip set logger on");
    const log = () => readFileSync(join(this.outside, "log/messages"), "utf8");
    const from = log().length;
    return (methods) => {
      const said = log().slice(from);
      const count = (direction) => new Set(
        [...said.matchAll(/<--- (Received|Transmitting) SIP request[^\n]*\n([A-Z]+) [\s\S]*?\r?\n\r?\n/g)]
          .filter(([text, way, method]) => way === direction && methods.includes(method) && /^(To|t):.*;tag=/mi.test(text))
          .map(([text]) => /^CSeq: .*/mi.exec(text)[0] + /^(Call-ID|i): .*/mi.exec(text)[0])).size;
      return { received: count("Received"), sent: count("Transmitting") };
    };
  }

  /** The newest recording of 602 or 614, once the call is over and the file no longer grows. */
  async recording() {
    const folder = join(this.outside, "recordings");
    const newest = () => readdirSync(folder).filter((one) => one.endsWith(".wav"))
      .map((one) => join(folder, one)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
    const path = await until(newest, "a recording", 5000);
    for (let size = -1; ;) {
      await sleep(300);
      const now = statSync(path).size;
      if (now === size) return path;
      size = now;
    }
  }

  /** The messages that Asterisk itself calls warnings and errors. */
  complaints() {
    const path = join(this.outside, "log/messages");
    return existsSync(path)
      ? readFileSync(path, "utf8").split("\n").filter((line) => /\] (WARNING|ERROR)\[/.test(line))
      : [];
  }

  async stop() {
    try { this.command("core stop now"); } catch { /* it may not answer any more */ }
    await Promise.race([this.process.exit, sleep(3000)]);
    await this.process.stop("SIGKILL");
    rmSync(this.outside, { recursive: true, force: true });
  }
}
