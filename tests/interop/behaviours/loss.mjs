// 5 % of the packets between browser and gateway are lost, each way.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

behaviour("with 5 % loss each way the speech at Asterisk scores PESQ 3.8 or more", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  world.network.setLoss(0.05);
  try {
    await page.call("602");
    // The browser's FEC follows the loss that our reports tell it: two passes to settle.
    await sleep((5 * world.audio.seconds + 2) * 1000);
    const { outbound } = await page.statistics();
    assert.ok(outbound.packetsSent > 2000, `${outbound.packetsSent} packets`);
    await page.hangUp();
  } finally {
    world.network.setLoss(0);
  }
  const heard = await world.audio.pesq(await pbx.recording());
  const settled = heard.passes.filter(({ at }) => at > world.audio.seconds);
  console.log(`# PESQ by pass: ${heard.passes.map(({ mos }) => mos).join(" ")}`);
  assert.ok(settled.length >= 3, JSON.stringify(heard));
  const mos = settled.reduce((sum, one) => sum + one.mos, 0) / settled.length;
  assert.ok(mos >= 3.8, `mean ${mos}: ${JSON.stringify(heard)}`);
}, { milliseconds: 240000 });

behaviour("with 5 % loss each way the milliwatt is still a clean tone in the page", async (world) => {
  await world.asterisk();
  const page = await world.chromium();
  world.network.setLoss(0.05);
  try {
    await page.call("601");
    await sleep(3000);
    await page.hears(1004);
  } finally {
    world.network.setLoss(0);
  }
});
