// Kamailio in the PBX's namespace: a proxy with Record-Route and the registrar of its phones, or (with
// registrar.cfg) a registrar that does Outbound.

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addresses } from "./network.mjs";
import { Process, sleep } from "./process.mjs";

export class Kamailio {
  /**
   * @param {object} place { repository, root, id, network, logs }
   * @param {object} options configuration: a file of tests/interop/kamailio; certificates
   *   (Certificates): kamailio.cfg talks nothing but TLS, with a certificate for kamailio.test, and
   *   wants one from everybody
   */
  static async start(place, { configuration = "kamailio.cfg", certificates } = {}) {
    const proxy = new Kamailio();
    const inside = `/run/trunkline-interop/${place.id}-kamailio`;
    proxy.outside = join(place.root, inside);
    rmSync(proxy.outside, { recursive: true, force: true });
    mkdirSync(proxy.outside, { recursive: true });
    const write = (name, file) => writeFileSync(join(proxy.outside, name),
      readFileSync(join(place.repository, "tests/interop/kamailio", file), "utf8")
        .replaceAll("ADDRESS", addresses.kamailio)
        .replaceAll("GATEWAY", addresses.gateway)
        .replaceAll("RUN/", `${inside}/`));
    write("kamailio.cfg", configuration);
    if (certificates) {
      write("tls.cfg", "tls.cfg");
      const own = certificates.sign("kamailio.test", addresses.kamailio);
      copyFileSync(own.certificate, join(proxy.outside, "own.pem"));
      copyFileSync(own.key, join(proxy.outside, "own.key"));
      copyFileSync(certificates.authority, join(proxy.outside, "ca.pem"));
    }
    proxy.process = new Process(
      place.network.inside(place.network.pbx, "chroot", place.root, "kamailio", "-DD", "-E",
        "-f", `${inside}/kamailio.cfg`, "-Y", inside, "-P", `${inside}/pid`, "-m", "32", "-M", "8",
        ...(certificates ? ["-A", "WITH_TLS"] : [])),
      { log: join(place.logs, "kamailio.log") });
    // It says nothing when it is ready; its sockets are there when it listens by TCP.
    for (let attempt = 0; attempt < 100; attempt += 1) {
      if (proxy.process.ended) throw new Error(`kamailio ended: ${proxy.process.output.slice(-3000)}`);
      if (place.network.listens(place.network.pbx, addresses.kamailio, 5060)) return proxy;
      await sleep(100);
    }
    throw new Error(`kamailio does not listen: ${proxy.process.output.slice(-3000)}`);
  }

  /** The requests that it sent on, as its log says: "BYE by tcp from 10.77.2.1 to sip:..." */
  relayed(kind = "route") {
    return [...this.process.output.matchAll(new RegExp(`${kind}: (.*)`, "g"))].map(([, text]) => text.trim());
  }

  async stop() {
    await this.process.stop();
    rmSync(this.outside, { recursive: true, force: true });
  }
}
