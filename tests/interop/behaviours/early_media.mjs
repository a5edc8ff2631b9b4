// What the far end plays before it answers is heard.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { until } from "../world/process.mjs";

/** Waits until that is what the page hears. What has not begun cannot be measured in Firefox. */
async function hears(page, frequency) {
  await until(async () => (await page.statistics()).inbound?.packetsReceived > 25, "audio arrives");
  let last;
  await until(async () => {
    last = await page.measure(1);
    return last.frequency !== null && Math.abs(last.frequency - frequency) < 4;
  }, `${frequency} Hz`).catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(last)}`); });
}

for (const browser of ["chromium", "firefox"]) {
  behaviour(`${browser} hears 425 Hz before the answer and 1004 Hz after it`, async (world) => {
    const asterisk = await world.asterisk();
    const page = await world[browser]();
    asterisk.command("dialplan set global PICK_UP later");
    await page.dial("608");
    await page.inState("early-media");
    await hears(page, 425);
    assert.equal(await page.state(), "early-media");
    asterisk.command("dialplan set global PICK_UP now");
    await page.inState("in-call");
    await hears(page, 1004);
  });
}
