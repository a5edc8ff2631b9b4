// dnsmasq in the PBX's namespace: a name server that knows what a test tells it, and nothing else.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addresses } from "./network.mjs";
import { Process } from "./process.mjs";

export class Dnsmasq {
  /**
   * @param {object} place { root, id, network, logs }
   * @param {string[]} records lines of dnsmasq's configuration, such as
   *   "host-record=a.example,10.77.2.2", "srv-host=_sip._udp.example,a.example,5060,1,10",
   *   "naptr-record=example,10,50,s,SIP+D2U,,_sip._udp.example"
   */
  static async start(place, records) {
    const server = new Dnsmasq();
    const inside = `/run/trunkline-interop/${place.id}-dnsmasq`;
    server.outside = join(place.root, inside);
    server.address = `${addresses.nameServer}:53`;
    rmSync(server.outside, { recursive: true, force: true });
    mkdirSync(server.outside, { recursive: true });
    writeFileSync(join(server.outside, "dnsmasq.conf"), [
      `listen-address=${addresses.nameServer}`, "bind-interfaces", "no-resolv", "no-hosts", "user=root",
      "log-queries", "log-facility=-", `pid-file=${inside}/pid`, "local=//", "local-ttl=30", ...records,
    ].join("\n") + "\n");
    server.process = new Process(
      place.network.inside(place.network.pbx, "chroot", place.root, "dnsmasq", "-k", "-C", `${inside}/dnsmasq.conf`),
      { log: join(place.logs, "dnsmasq.log") });
    await server.process.says(/started, version/);
    return server;
  }

  /** The questions that it was asked: "SRV _sip._udp.example". */
  questions() {
    return [...this.process.output.matchAll(/query\[(\w+)\] (\S+) from/g)].map(([, type, name]) => `${type} ${name}`);
  }

  async stop() {
    await this.process.stop();
    rmSync(this.outside, { recursive: true, force: true });
  }
}
