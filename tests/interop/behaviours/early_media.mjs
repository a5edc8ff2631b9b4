// What the far end plays before it answers is heard.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

for (const browser of ["chromium", "firefox"]) {
  behaviour(`${browser} hears 425 Hz before the answer and 1004 Hz after it`, async (world) => {
    await world.asterisk();
    const page = await world[browser]();
    await page.dial("608");
    await page.inState("early-media");
    await sleep(800);
    const early = await page.measure(1);
    assert.equal(await page.state(), "early-media");
    assert.ok(Math.abs(early.frequency - 425) < 4, JSON.stringify(early));
    await page.inState("in-call");
    await sleep(800);
    const answered = await page.measure(1);
    assert.ok(Math.abs(answered.frequency - 1004) < 4, JSON.stringify(answered));
  });
}
