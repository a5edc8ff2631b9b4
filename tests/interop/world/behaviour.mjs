// The frame of a test file: one or more behaviours, in a world that is made when it is needed and
// taken down at the end. Prints `ok` or `not ok` a behaviour; run.mjs counts them.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Asterisk } from "./asterisk.mjs";
import { Audio } from "./audio.mjs";
import { Baresip, phones } from "./baresip.mjs";
import { openChromium } from "./chromium.mjs";
import { Dnsmasq } from "./dnsmasq.mjs";
import { openFirefox } from "./firefox.mjs";
import { Gateway } from "./gateway.mjs";
import { Kamailio } from "./kamailio.mjs";
import { Linphone } from "./linphone.mjs";
import { Network, addresses } from "./network.mjs";
import { isOver } from "./process.mjs";
import { sipp } from "./sipp.mjs";
import { TelephoneEvents } from "./telephone_events.mjs";

/** Everything a behaviour can have. Each is started at most once a file, except browsers. */
class World {
  #ending = [];
  #once = new Map();

  constructor(settings) {
    this.place = { ...settings, network: new Network(settings.id) };
    this.network = this.place.network;
    this.audio = new Audio(settings.repository, settings.audio);
    this.pages = [];
  }

  #only(name, make) {
    if (!this.#once.has(name)) {
      this.#once.set(name, make().then((made) => {
        this.#ending.push({ name, stop: () => made.stop() });
        return made;
      }));
    }
    return this.#once.get(name);
  }

  asterisk(options) {
    return this.#only("asterisk", () => Asterisk.start(this.place, options));
  }

  /** Another Asterisk, at addresses.second. */
  secondAsterisk(options) {
    return this.#only("secondAsterisk", () => Asterisk.start(this.place, { address: addresses.second, ...options }));
  }

  /** One of the phones of baresip.mjs, with more said about it. */
  phone(name = "first", more = {}) {
    return this.#only(`phone ${name}`, () => Baresip.start(this.place, { ...phones[name], ...more }));
  }

  kamailio(options) {
    return this.#only("kamailio", () => Kamailio.start(this.place, options));
  }

  linphone(options) {
    return this.#only("linphone", () => Linphone.start(this.place, options));
  }

  /** What is told of keys on the wire to the PBX and the phones. */
  telephoneEvents() {
    return this.#only("telephoneEvents", () => TelephoneEvents.start(this.place));
  }

  /** A name server that knows those records. */
  nameServer(records) {
    return this.#only("nameServer", () => Dnsmasq.start(this.place, records));
  }

  gateway(options) {
    return this.#only("gateway", () => Gateway.start(this.place, options));
  }

  /** A gateway with the default configuration, see Gateway.startDefault; several may run. */
  gatewayByDefault(options) {
    return this.#only(`gateway ${options.name}`, () => Gateway.startDefault(this.place, options));
  }

  /** A TlsProxy of tls_proxy.mjs, started. */
  proxy(made) {
    return this.#only("proxy", async () => {
      await made.start();
      return made;
    });
  }

  stopProxy() {
    return this.#stop("proxy");
  }

  /** Ends one of the parts that are started at most once, so that another can be. */
  async #stop(part) {
    const made = this.#once.get(part);
    if (!made || !this.#once.delete(part)) return;
    // One that could not be started has nothing to end.
    if (!await made.then(() => true, () => false)) return;
    const [{ stop }] = this.#ending.splice(this.#ending.findIndex(({ name }) => name === part), 1);
    await stop();
  }

  /** Ends this file's gateway, so that the next one can have another configuration. */
  stopGateway() {
    return this.#stop("gateway");
  }

  /** Ends the first Asterisk, or clears away after one that was killed. */
  stopAsterisk() {
    return this.#stop("asterisk");
  }

  stopPhone(name) {
    return this.#stop(`phone ${name}`);
  }

  stopLinphone() {
    return this.#stop("linphone");
  }

  sipp(scenario, options) {
    const process = sipp(this.place, scenario, options);
    this.#ending.push({ name: scenario, stop: () => process.stop() });
    return process;
  }

  async #page(open, options = {}) {
    const url = options.url ?? `${(await this.gateway()).url}?processing=off`;
    const page = await open({ microphone: this.audio.microphone, ...options, url });
    this.pages.push(page);
    if (!options.url) {
      if (options.user) {
        await page.signIn(options.user.name, options.user.password);
        await page.signedInAs(options.user.name);
      } else {
        await page.signedIn();
      }
    }
    return page;
  }

  /** The gateway's page in Chromium. options: user, codecs, microphone, url */
  chromium(options) {
    return this.#page(openChromium, options);
  }

  /** The gateway's page in Firefox. options: user, codecs, url */
  firefox(options) {
    return this.#page(openFirefox, options);
  }

  async closePages() {
    for (const page of this.pages.splice(0)) await page.close().catch(() => {});
  }

  diary() {
    const parts = this.pages.map((page) => `--- ${page.name}\n${page.diary()}`);
    for (const name of readdirSync(this.place.logs).filter((one) => one.endsWith(".log")).sort()) {
      const path = join(this.place.logs, name);
      parts.push(`--- ${name}\n${readFileSync(path, "utf8").slice(-3000)}`);
    }
    return parts.join("\n");
  }

  /** Takes everything down, the gateway first of the processes: it must end well by itself. */
  async close() {
    await this.closePages();
    const failures = [];
    for (const { stop } of this.#ending.splice(0).reverse()) {
      try { await stop(); } catch (error) { failures.push(error); }
    }
    if (failures.length > 0) throw failures[0];
  }
}

const LIMIT_MILLISECONDS = 120000;

function within(milliseconds, promise) {
  const started = Date.now();
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setInterval(() => {
      if (isOver(started, milliseconds)) reject(new Error(`not done within ${milliseconds} ms`));
    }, 1000);
  });
  return Promise.race([promise, limit]).finally(() => clearInterval(timer));
}

const declared = [];

let freshGateway = false;

/** Says that each behaviour of this file has a gateway of its own, with another configuration. */
export function eachItsOwnGateway() {
  freshGateway = true;
}

/** Declares one behaviour; they run in the order in which they are written. */
export function behaviour(name, trace, { milliseconds = LIMIT_MILLISECONDS } = {}) {
  declared.push({ name, trace, milliseconds });
}

async function runAll() {
  const settings = JSON.parse(process.env.INTEROP_PLACE ?? "null");
  if (settings === null) throw new Error("start test files by tests/interop/run");
  const world = new World(settings);
  let failed = 0;
  const report = (good, name, started, error) => {
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`${good ? "ok" : "not ok"} - ${name} (${seconds} s)`);
    if (!good) {
      failed += 1;
      console.log(`${error?.stack ?? error}`.replace(/^/gm, "    "));
    }
  };
  for (const { name, trace, milliseconds } of declared) {
    const started = Date.now();
    try {
      await within(milliseconds, trace(world));
      report(true, name, started);
    } catch (error) {
      report(false, name, started, error);
      console.log(world.diary().replace(/^/gm, "    "));
    }
    await world.closePages();
    world.network.restore();
    if (freshGateway) await world.stopGateway().catch((error) => report(false, `${name}: the gateway ends well`, started, error));
  }
  const started = Date.now();
  try {
    await within(30000, world.close());
  } catch (error) {
    report(false, "everything ends well", started, error);
  }
  process.exit(failed === 0 ? 0 : 1);
}

// After the file has declared its behaviours.
setImmediate(() => {
  runAll().catch((error) => {
    console.log(`not ok - the test file itself\n    ${error.stack}`);
    process.exit(1);
  });
});
