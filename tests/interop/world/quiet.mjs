// What measures sound or milliseconds wants a machine that has time: it waits for that.

import { readFileSync } from "node:fs";
import { sleep } from "./process.mjs";

const LOOK_MILLISECONDS = 2000;
/** The share of the processors' time that others may take. */
const MOST_BUSY = 0.4;
/** After so long it is tried all the same. */
const WAIT_MILLISECONDS = 600000;

/** Ticks of all processors since the start: [busy, all]. */
function ticks() {
  const fields = readFileSync("/proc/stat", "utf8").split("\n")[0].trim().split(/\s+/).slice(1, 9).map(Number);
  const all = fields.reduce((sum, one) => sum + one, 0);
  // The fourth is idle, the fifth waits for disks.
  return [all - fields[3] - fields[4], all];
}

/** Waits until the machine has time, ten minutes at most. Returns the seconds that it took. */
export async function quiet() {
  const started = Date.now();
  for (;;) {
    const [busyBefore, allBefore] = ticks();
    await sleep(LOOK_MILLISECONDS);
    const [busy, all] = ticks();
    const waited = Date.now() - started;
    if (busy - busyBefore < MOST_BUSY * (all - allBefore) || waited > WAIT_MILLISECONDS) return Math.round(waited / 1000);
  }
}
