// The page holds and resumes: Asterisk is told by re-INVITE.

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
    await page.hears(PHONE_TONE);
  }
  await page.hangUp();
});
