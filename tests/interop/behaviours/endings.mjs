// How calls end: each way gives the page its own reason, and leaves nothing at Asterisk.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

for (const [number, what, reason, status] of [
  ["605", "busy", "busy", 486],
  ["606", "declined", "declined", 603],
  ["611", "nobody there", "no-answer", 480],
  ["404", "an unknown number at the PBX", "not-found", 404],
  ["5551", "a number without a route", "not-found", undefined],
]) {
  behaviour(`${what}: ${reason}`, async (world) => {
    const pbx = await world.asterisk();
    const page = await world.chromium();
    await page.dial(number);
    const ending = await page.ended();
    assert.equal(ending.reason, reason, JSON.stringify(ending));
    if (status !== undefined) assert.equal(ending.status, status, JSON.stringify(ending));
    await pbx.allCallsEnded();
  });
}

behaviour("the page hangs up a call", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  await page.call("600");
  assert.ok(pbx.activeCalls() > 0);
  await page.hangUp();
  assert.equal((await page.ended()).reason, "hangup-local");
  await pbx.allCallsEnded();
});

behaviour("Asterisk speaks and hangs up", async (world) => {
  await world.asterisk();
  const page = await world.chromium();
  await page.call("609");
  assert.equal((await page.ended(15000)).reason, "hangup-remote");
});

behaviour("the page gives up while it rings: Asterisk sees a cancel", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  await page.dial("607");
  await page.inState("ringing");
  await sleep(500);
  await page.hangUp();
  await page.ended();
  await pbx.allCallsEnded();
});

behaviour("the page gives up at once, before anything came back", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  await page.dial("607");
  await page.hangUp();
  await page.ended();
  await sleep(1000);
  assert.equal(pbx.activeCalls(), 0);
});

behaviour("the page gives up in the moment of the answer", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  for (const wait of [1900, 1980, 2020, 2100]) {
    await page.dial("612");
    await sleep(wait);
    await page.hangUp();
    await page.ended();
  }
  await pbx.allCallsEnded();
});

behaviour("the page is closed in mid-call: Asterisk's call ends", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  await page.call("600");
  await world.closePages();
  await pbx.allCallsEnded(15000);
});
