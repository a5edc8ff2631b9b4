// A trunk that speaks Opus: it passes through, nothing is decoded.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep } from "../world/process.mjs";

behaviour("Opus on both sides carries speech and tone", async (world) => {
  const pbx = await world.asterisk();
  await world.gateway({
    sipAddress: addresses.gatewayOpus,
    trunks: [trunks.asterisk({ codecs: ["opus", "PCMU"], passthrough: true })], routes: [routes.asterisk],
  });
  const page = await world.chromium();
  await page.call("602");
  assert.match(pbx.command("core show channels verbose"), /602/);
  assert.match(pbx.command("pjsip show channelstats"), /opus/);
  await sleep((world.audio.seconds + 3) * 1000);
  await page.hangUp();
  const heard = await world.audio.pesq(await pbx.recording());
  console.log(`# PESQ ${heard.mos}`);
  assert.ok(heard.mos >= 4.0, JSON.stringify(heard));

  await page.call("601");
  await sleep(1500);
  await page.hears(1004);
});
