// The gateway under test: its configuration, its process, what it says. The only place of the
// tests that knows its configuration file.

import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { addresses } from "./network.mjs";
import { Process } from "./process.mjs";

export const HTTP_PORT = 8080;

/** One user of the page. */
export const alice = { name: "alice", password: "wonder land" };

/** Trunks by what the far end does; a test takes the ones it needs. */
export const trunks = {
  /** By address, Asterisk's endpoint [gateway]. */
  asterisk: (more = {}) => ({
    name: "asterisk", target: `sip:${addresses.asterisk}:5060;transport=udp`,
    codecs: ["PCMU", "PCMA"], accept_from: [`${addresses.asterisk}/32`], ...more,
  }),
  /** Registers: 1001 is challenged by MD5, 1002 by SHA-256. */
  registered: (user, password, more = {}) => ({
    name: "asterisk", target: `sip:${addresses.asterisk}:5060;transport=udp`,
    username: user, password, register: true, codecs: ["PCMU", "PCMA"],
    accept_from: [`${addresses.asterisk}/32`], ...more,
  }),
  /** The proxy, by TCP; its phones talk UDP to it. */
  kamailio: (more = {}) => ({
    name: "kamailio", target: `sip:${addresses.kamailio}:5060;transport=tcp`,
    codecs: ["PCMU"], accept_from: [`${addresses.kamailio}/32`], ...more,
  }),
  /** A telephone itself. */
  phone: (more = {}) => ({
    name: "phone", codecs: ["PCMU"], ...more,
  }),
  /** A scenario of sipp that waits for a call, and takes an OPTIONS for a fault. */
  sipp: (more = {}) => ({
    name: "sipp", target: `sip:${addresses.sipp}:5080;transport=udp`, health_check: 0,
    codecs: ["PCMU"], accept_from: [`${addresses.sipp}/32`], ...more,
  }),
};

export const routes = {
  asterisk: { match: "^(6|2)\\d+$", trunk: "asterisk", to: "$0" },
  unknown: { match: "^404$", trunk: "asterisk", to: "999404" },
  sipp: { match: "^7\\d+$", trunk: "sipp", to: "$0" },
};

const value = (what) => {
  if (Array.isArray(what)) return `[${what.map(value).join(", ")}]`;
  if (typeof what === "object") return `{ ${Object.entries(what).map(([key, one]) => `${key} = ${value(one)}`).join(", ")} }`;
  return typeof what === "string" ? JSON.stringify(what) : String(what);
};

function table(header, entries) {
  return [header, ...Object.entries(entries).map(([key, what]) => `${key} = ${value(what)}`), ""].join("\n");
}

/**
 * The configuration file.
 * @param {object} options sipAddress: where the gateway talks to the PBX from;
 *   trunks, routes, users, inbound: lists; more: { section: { key: value } } laid over the sections
 */
export function configuration({ sipAddress = addresses.gateway, trunks: lines, routes: rules, users = [alice], inbound = [{ match: "^web-(.*)$", user: "$1" }], more = {} }) {
  const sections = {
    http: { listen: `${addresses.gatewayForBrowser}:${HTTP_PORT}` },
    sip: { listen: [`udp:${sipAddress}:5060`, `tcp:${sipAddress}:5060`] },
    webrtc: { addresses: [addresses.gatewayForBrowser], port: 0, lite: false },
    media: { rtp_address: sipAddress, rtp_ports: "20000-20999" },
    sign_in: { anonymous: true },
    calls: { drain_timeout: 3 },
    log: { filter: "info,trunkline=debug" },
  };
  for (const [name, keys] of Object.entries(more)) sections[name] = { ...sections[name], ...keys };
  return [
    ...Object.entries(sections).map(([name, keys]) => table(`[${name}]`, keys)),
    ...users.map((user) => table("[[user]]", user)),
    ...lines.map((trunk) => table("[[trunk]]", trunk)),
    // Pages of most tests sign in as guests.
    ...rules.map((route) => table("[[route]]", { guests: true, ...route })),
    ...inbound.map((rule) => table("[[inbound]]", rule)),
  ].join("\n");
}

const execute = promisify(execFile);

/** How long an answer may take: for a busy machine, since no test measures it here. */
const ANSWER_MILLISECONDS = 10000;

/** What `fetch` does, as a program of its own: the gateway may listen where only its namespace reaches. */
const FETCH_INSIDE = `
  require("node:http").get(process.argv[1], (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (text) => { body += text; });
    response.on("end", () => console.log(JSON.stringify({ status: response.statusCode, body })));
  });`;

export class Gateway {
  /**
   * @param {object} place { repository, network, logs }
   * @param {object} options what configuration() takes; or text: the configuration file itself, of
   *   a gateway whose HTTP is at 127.0.0.1 in its namespace
   */
  static start(place, options = {}) {
    if (options.text) return Gateway.#launch(place, options.text, { loopback: true });
    return Gateway.#launch(place, configuration({
      trunks: [trunks.asterisk()], routes: [routes.asterisk, routes.unknown], ...options,
    }));
  }

  /**
   * One with the default configuration but for its ports, and with HTTP on all addresses.
   * @param {object} options name: of its files; binary: absent, the gateway under test; port: of
   *   HTTP, and of SIP one thousand lower
   */
  static startDefault(place, { name, binary, port }) {
    const sections = {
      http: { listen: `0.0.0.0:${port}` },
      sip: { listen: [`udp:127.0.0.1:${port - 1000}`, `tcp:127.0.0.1:${port - 1000}`] },
      media: { rtp_ports: `${20000 + (port % 100) * 100}-${20099 + (port % 100) * 100}` },
    };
    const text = Object.entries(sections).map(([key, keys]) => table(`[${key}]`, keys)).join("\n");
    return Gateway.#launch(place, text, { name, binary, port });
  }

  static async #launch(place, text, { name = "gateway", port = HTTP_PORT, binary, loopback = false } = {}) {
    const gateway = new Gateway();
    const file = join(place.logs, name === "gateway" ? "trunkline.toml" : `${name}.toml`);
    writeFileSync(file, text);
    gateway.url = `http://${loopback ? "127.0.0.1" : addresses.gatewayForBrowser}:${port}/`;
    if (loopback) gateway.inside = (...command) => place.network.inside(place.network.gateway, ...command);
    binary ??= process.env.INTEROP_GATEWAY ?? join(place.repository, "target/debug/trunkline");
    gateway.process = new Process(
      place.network.inside(place.network.gateway, binary, "--config", file),
      { log: join(place.logs, `${name}.log`), environment: { RUST_BACKTRACE: "1", NO_COLOR: "1" } });
    const deadline = Date.now() + 30000;
    while ((await gateway.fetch("/health").catch(() => ({}))).status !== 200) {
      if (gateway.process.ended || Date.now() > deadline) {
        throw new Error(`the gateway does not answer:\n${gateway.process.output.slice(-3000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return gateway;
  }

  /** GET of a path: { status, body }. */
  async fetch(path) {
    if (this.inside) {
      const [command, ...words] = this.inside(process.execPath, "-e", FETCH_INSIDE, String(new URL(path, this.url)));
      return JSON.parse((await execute(command, words, { timeout: ANSWER_MILLISECONDS })).stdout);
    }
    return new Promise((resolve, reject) => {
      get(new URL(path, this.url), (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text) => { body += text; });
        response.on("end", () => resolve({ status: response.statusCode, body }));
      }).on("error", reject).setTimeout(ANSWER_MILLISECONDS, function giveUp() { this.destroy(new Error(`no answer to ${path}`)); });
    });
  }

  /** The sum over the labels of one metric of /metrics; 0 when it is not there. */
  async metric(name) {
    const { body } = await this.fetch("/metrics");
    return body.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  /** Ends it without a word to anybody. */
  async kill() {
    this.killed = true;
    await this.process.stop("SIGKILL");
  }

  /** Asks it to end, as an operator does; `stop` then waits for that. */
  drain() {
    this.draining = true;
    this.process.child.kill("SIGTERM");
  }

  /** Ends it by SIGTERM; throws when it had ended before, or does not end well. */
  async stop() {
    if (this.killed) return;
    if (this.process.ended && !this.draining) throw new Error(`the gateway had ended by itself: ${JSON.stringify(this.process.ended)}\n${this.process.output.slice(-3000)}`);
    // A second signal would not wait for calls: 0 is none.
    const exit = await this.process.stop(this.draining ? 0 : "SIGTERM", this.draining ? 30000 : 15000);
    if (exit.code !== 0) throw new Error(`the gateway ended with ${JSON.stringify(exit)}\n${this.process.output.slice(-3000)}`);
    if (/ERROR.* panic: /.test(this.process.output)) throw new Error(`the gateway panicked:\n${this.process.output.slice(-3000)}`);
  }
}
