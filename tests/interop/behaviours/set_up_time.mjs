// From the offer to the first audio both ways, on an idle machine with nothing in between.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

const CALLS = 11;
const MEDIAN_LIMIT_MILLISECONDS = 150;

behaviour(`${CALLS} calls: the median from offer to first audio is below ${MEDIAN_LIMIT_MILLISECONDS} ms`, async (world) => {
  await world.asterisk();
  const page = await world.chromium();
  const times = [];
  for (let round = 0; round < CALLS; round += 1) {
    await page.call("600");
    // An echo: what comes back is the first audio of both directions.
    await sleep(1500);
    const { offerSent, answerSdp, connected, firstPacket } = await page.marks();
    times.push({ answer: answerSdp - offerSent, connected: connected - offerSent, echo: firstPacket - offerSent });
    await page.hangUp();
    await page.ended();
    await sleep(300);
  }
  const median = (key) => times.map((one) => one[key]).sort((a, b) => a - b)[Math.floor(CALLS / 2)];
  console.log(`# medians in ms: answer ${median("answer").toFixed(0)}, connected ${median("connected").toFixed(0)}, first echo ${median("echo").toFixed(0)}`);
  assert.ok(median("echo") < MEDIAN_LIMIT_MILLISECONDS, JSON.stringify(times));
});
