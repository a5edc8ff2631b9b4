// A browser that has no Opus: G.711 passes through unchanged.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

behaviour("PCMU on both sides carries speech and tone", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium({ codecs: ["audio/PCMU"] });
  await page.call("602");
  await sleep((world.audio.seconds + 3) * 1000);
  const { outboundCodec } = await page.statistics();
  await page.hangUp();
  const heard = await world.audio.pesq(await pbx.recording());
  console.log(`# PESQ ${heard.mos}`);
  assert.equal(outboundCodec, "audio/PCMU");
  assert.ok(heard.mos >= 4.0, JSON.stringify(heard));

  await page.call("601");
  await sleep(1000);
  const tone = await page.measure(1);
  assert.ok(Math.abs(tone.frequency - 1004) < 3, JSON.stringify(tone));
});
