// The browser's UDP port changes in mid-call, as when a NAT forgets its mapping.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

// Chromium checks a working path every 2.5 s. The gateway may not follow a packet that no check
// has vouched for, so it learns of the new port at the next check; from then on 1 s is allowed.
const BETWEEN_CHECKS_MILLISECONDS = 2500;

behaviour("a browser that changes its port in mid-call is heard again", async (world) => {
  await world.asterisk();
  const page = await world.chromium();
  // The echo comes back only while both directions work.
  await page.call("600");
  await sleep(2000);
  const { localPort } = await page.statistics();
  assert.ok(localPort > 0, `no local port in the statistics: ${localPort}`);
  const silence = await page.longestSilence(async () => {
    await sleep(500);
    world.network.moveBrowserPort(localPort, localPort === 60001 ? 60002 : 60001);
    await sleep(6000);
  });
  console.log(`# ${Math.round(silence)} ms of silence`);
  assert.ok(silence < BETWEEN_CHECKS_MILLISECONDS + 1000, `${silence} ms of silence`);
  await sleep(1000);
  const speech = await page.measure(3);
  assert.ok(speech.level_dbfs > -45, JSON.stringify(speech));
});
