// The PBX holds and resumes, three times each: the page is told, and the sound comes back.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { PHONE_TONE } from "../world/baresip.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { sleep } from "../world/process.mjs";

const bothWays = {
  trunks: [trunks.asterisk(), trunks.sipp()], routes: [routes.asterisk, routes.sipp],
};

for (const [scenario, what] of [["hold_sendonly", "a=sendonly"], ["hold_inactive", "a=inactive"], ["hold_address", "c=0.0.0.0"]]) {
  behaviour(`three re-INVITEs with ${what}`, async (world) => {
    await world.gateway(bothWays);
    const far = world.sipp(scenario, { echo: true, milliseconds: 1500 });
    await sleep(500);
    const page = await world.chromium();
    await page.call("700");
    for (let round = 0; round < 3; round += 1) {
      await page.heldIs(true);
      await page.heldIs(false);
    }
    await sleep(1000);
    await page.hearsSomething();
    await page.hangUp();
    assert.deepEqual(await far.exit, { code: 0, signal: null }, far.output.slice(-2000));
  });
}

behaviour("a phone behind Asterisk holds and resumes", async (world) => {
  await world.asterisk();
  await world.gateway(bothWays);
  const phone = await world.phone();
  const page = await world.chromium();
  await page.call("610");
  await phone.inCall();
  for (let round = 0; round < 3; round += 1) {
    await sleep(700);
    phone.command("hold");
    await page.heldIs(true);
    await sleep(700);
    phone.command("resume");
    await page.heldIs(false);
  }
  await sleep(1000);
  await page.hears(PHONE_TONE);
  phone.command("hangup");
  assert.equal((await page.ended()).reason, "hangup-remote");
});
