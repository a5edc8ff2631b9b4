// The page holds and resumes: Asterisk is told by re-INVITE.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { PHONE_TONE } from "../world/baresip.mjs";
import { sleep } from "../world/process.mjs";

behaviour("the page holds three times, and is heard again after each", async (world) => {
  await world.asterisk();
  await world.phone();
  const page = await world.chromium();
  await page.call("610");
  for (let round = 0; round < 3; round += 1) {
    await page.hold(true);
    await sleep(700);
    await page.hold(false);
    await sleep(1500);
    const tone = await page.measure(1);
    assert.ok(Math.abs(tone.frequency - PHONE_TONE) < 3, `round ${round}: ${JSON.stringify(tone)}`);
  }
  await page.hangUp();
});
