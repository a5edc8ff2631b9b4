// The telephone events on the wire in front of the peers: what a peer that does not report how long
// a key was pressed was told of it.

import { join } from "node:path";
import { Process } from "./process.mjs";

const KEYS = "0123456789*#ABCD";

export class TelephoneEvents {
  /** Listens in the namespace of the PBX and the phones. */
  static async start(place) {
    const events = new TelephoneEvents();
    events.process = new Process(
      place.network.inside(place.network.pbx, join(place.audio, "python/bin/python"),
        join(place.repository, "tests/interop/world/telephone_events.py")),
      { log: join(place.logs, "telephone-events.log") });
    await events.process.says(/^ready$/m);
    return events;
  }

  /** The packets so far to UDP ports between those two, whatever the address. */
  packets([lowest, highest]) {
    return this.process.output.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line)).filter(({ port }) => port >= lowest && port <= highest);
  }

  /** The keys told to those ports so far, by their end packets: [{ digit, duration in ms }]. */
  digits(ports, clock = 8000) {
    const ends = new Map();
    for (const { source, timestamp, event, end, duration } of this.packets(ports)) {
      if (end) ends.set(`${source} ${timestamp}`, { digit: KEYS[event], duration: (1000 * duration) / clock });
    }
    return [...ends.values()];
  }

  stop() {
    return this.process.stop("SIGKILL");
  }
}
