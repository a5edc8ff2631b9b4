// Three network namespaces of one test, in a row: browser - gateway - PBX. Nothing in them
// reaches the machine's own network, and removing them removes everything they held.

import { spawnSync } from "node:child_process";

export const addresses = {
  // Where the browser lives and where the gateway faces it.
  browser: "10.77.1.2",
  gatewayForBrowser: "10.77.1.1",
  // The gateway's addresses towards the PBX: see asterisk/pjsip.conf.
  gateway: "10.77.2.1",
  gatewayOpus: "10.77.2.3",
  gatewayUnknown: "10.77.2.5",
  // Asterisk, and other addresses of its machine for sipp and for the phone.
  asterisk: "10.77.2.2",
  sipp: "10.77.2.22",
  phone: "10.77.2.42",
  // A second Asterisk or whoever a call may fail over to, the proxy, the name server, linphone.
  second: "10.77.2.32",
  kamailio: "10.77.2.52",
  nameServer: "10.77.2.53",
  linphone: "10.77.2.62",
};

const LINK_TO_BROWSER = "to-browser";
const LINK_TO_GATEWAY = "to-gateway";
const LINK_TO_PBX = "to-pbx";

export function run(command, ...args) {
  const result = spawnSync(command, args, { encoding: "utf8" });
  if (result.status !== 0) {
    throw new Error(`${command} ${args.join(" ")}: ${result.error ?? result.stderr}`);
  }
  return result.stdout;
}

export class Network {
  /** Tables that drop something: [namespace, table] by both. */
  #dropping = new Map();

  /** @param {string} id at most 20 characters, one network each */
  constructor(id) {
    this.browser = `${id}-browser`;
    this.gateway = `${id}-gateway`;
    this.pbx = `${id}-pbx`;
  }

  make() {
    const { browser, gateway, pbx } = this;
    for (const name of [browser, gateway, pbx]) {
      run("ip", "netns", "add", name);
      run("ip", "-n", name, "link", "set", "lo", "up");
    }
    const link = (one, oneName, oneAddresses, other, otherName, otherAddresses) => {
      run("ip", "-n", one, "link", "add", oneName, "type", "veth",
        "peer", "name", otherName, "netns", other);
      for (const [space, name, list] of [[one, oneName, oneAddresses], [other, otherName, otherAddresses]]) {
        for (const address of list) {
          const nodad = address.includes(":") ? ["nodad"] : [];
          run("ip", "-n", space, "address", "add", address, "dev", name, ...nodad);
        }
        run("ip", "-n", space, "link", "set", name, "up");
      }
    };
    link(browser, LINK_TO_GATEWAY, [`${addresses.browser}/24`],
      gateway, LINK_TO_BROWSER, [`${addresses.gatewayForBrowser}/24`]);
    link(gateway, LINK_TO_PBX,
      [addresses.gateway, addresses.gatewayOpus, addresses.gatewayUnknown].map((one) => `${one}/24`).concat("fd77:2::1/64"),
      pbx, LINK_TO_GATEWAY,
      ["asterisk", "sipp", "phone", "second", "kamailio", "nameServer", "linphone"].map((one) => addresses[one]).map((one) => `${one}/24`).concat("fd77:2::2/64"));
  }

  /** Ends what still runs in the namespaces and removes them. Never throws: it is the last resort. */
  remove() {
    for (const name of [this.browser, this.gateway, this.pbx]) {
      for (let attempt = 0; attempt < 20; attempt += 1) {
        const pids = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" })
          .stdout.split("\n").filter(Boolean).map(Number).filter((pid) => pid !== process.pid);
        if (pids.length === 0) break;
        for (const pid of pids) {
          try { process.kill(pid, attempt === 0 ? "SIGTERM" : "SIGKILL"); } catch { /* gone already */ }
        }
        spawnSync("sleep", ["0.2"]);
      }
      spawnSync("ip", ["netns", "delete", name]);
    }
  }

  /**
   * Drops that share of the UDP packets in each direction between browser and gateway; 0 ends it.
   * Each side drops what it receives: a packet dropped on output would be an error of sendto.
   */
  setLoss(fraction) {
    const which = fraction < 1 ? `numgen random mod 1000 < ${Math.round(fraction * 1000)}` : "";
    for (const [name, device] of [[this.browser, LINK_TO_GATEWAY], [this.gateway, LINK_TO_BROWSER]]) {
      this.#dropArriving(name, "loss", fraction > 0, `iifname "${device}" meta l4proto udp ${which}`);
    }
  }

  /**
   * Drops RTP and RTCP, secured or not, by their first octet (RFC 7983), and nothing else:
   * connectivity checks and SIP go on. from: "gateway" (what arrives at the browser), "browser", "both" of
   * them, "pbx", or null, which ends it.
   */
  dropMedia(from) {
    const links = [[this.browser, LINK_TO_GATEWAY, "gateway"], [this.gateway, LINK_TO_BROWSER, "browser"], [this.gateway, LINK_TO_PBX, "pbx"]];
    for (const [name, device, source] of links) {
      this.#dropArriving(name, `media_of_${source}`, from === source || (from === "both" && source !== "pbx"),
        `iifname "${device}" meta l4proto udp @th,64,8 128-191`);
    }
  }

  /** Drops what the gateway writes to the page by TCP; it is sent again once that ends. */
  dropSignalling(on) {
    this.#dropArriving(this.browser, "signalling", on, `iifname "${LINK_TO_GATEWAY}" meta l4proto tcp`);
  }

  /** Ends what was dropped, for the next behaviour. */
  restore() {
    for (const [name, table] of this.#dropping.values()) this.#dropArriving(name, table, false);
  }

  #dropArriving(name, table, on, which) {
    const key = `${name} ${table}`;
    if (this.#dropping.delete(key)) spawnSync("ip", ["netns", "exec", name, "nft", "delete", "table", "inet", table]);
    if (!on) return;
    this.#dropping.set(key, [name, table]);
    this.#filter(name, `
      table inet ${table} {
        chain arriving {
          type filter hook input priority 0
          ${which} counter drop
        }
      }`);
  }

  /**
   * From now on the browser's UDP port `port` looks to the gateway like `newPort`: what a
   * NAT that forgot its mapping does. Stateless, so that running flows move too.
   */
  moveBrowserPort(port, newPort) {
    this.#movePort(this.browser, port, newPort);
  }

  /** The same of the gateway's port, to the browser and the PBX. */
  moveGatewayPort(port, newPort) {
    this.#movePort(this.gateway, port, newPort);
  }

  /** Ends that. */
  restoreGatewayPort() {
    this.#filter(this.gateway, "delete table inet moved");
  }

  /** Drops the RTP that comes to Asterisk (asterisk/rtp.conf), until `letRtpToPbx`. */
  dropRtpToPbx() {
    this.#filter(this.pbx, `
      table inet rtp {
        chain arriving {
          type filter hook input priority 0
          iifname "${LINK_TO_GATEWAY}" udp dport 30000-30999 counter drop
        }
      }`);
  }

  letRtpToPbx() {
    this.#filter(this.pbx, "delete table inet rtp");
  }

  #movePort(name, port, newPort) {
    this.#filter(name, `
      table inet moved {
        chain leaving {
          type filter hook output priority -300
          udp sport ${port} udp sport set ${newPort}
        }
        chain arriving {
          type filter hook prerouting priority -300
          udp dport ${newPort} udp dport set ${port}
        }
      }`);
  }

  #filter(name, rules) {
    run("ip", "netns", "exec", name, "nft", rules);
  }

  /** True when something listens there by TCP. */
  listens(name, address, port) {
    return run("ip", "netns", "exec", name, "ss", "-Hltn", "src", `${address}:${port}`).trim() !== "";
  }

  /** Command line that runs `command` in one of the three namespaces. */
  inside(name, ...command) {
    return ["ip", "netns", "exec", name, ...command];
  }
}
