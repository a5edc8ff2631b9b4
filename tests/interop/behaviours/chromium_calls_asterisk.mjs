// Chromium calls Asterisk through the gateway: speech there and back, a tone, an echo.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";
import { speakAndListen } from "../world/speech.mjs";

behaviour("speech both ways at once scores PESQ 4.0 or more, at Asterisk and in the page", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium();
  await page.call("614");
  const { inboundCodec, outboundCodec } = await speakAndListen(world, pbx, page);
  assert.deepEqual([inboundCodec, outboundCodec], ["audio/opus", "audio/opus"]);
});

behaviour("Asterisk's milliwatt is 1004 Hz in the page, at its level", async (world) => {
  await world.asterisk();
  const page = await world.chromium();
  await page.call("601");
  await sleep(1500);
  // 0 dBm0 is 3.14 dB below a full-scale sine in mu-law (ITU-T G.711, note to table 2).
  const tone = await page.hears(1004, { level: -3.14 });
  console.log(`# ${JSON.stringify(tone)}`);
});

behaviour("an echo brings the speech back", async (world) => {
  await world.asterisk();
  const page = await world.chromium();
  await page.call("600");
  await sleep(1500);
  const speech = await page.measure(4);
  assert.ok(speech.level_dbfs > -45, JSON.stringify(speech));
  assert.ok(speech.frequency > 80 && speech.frequency < 3400, JSON.stringify(speech));
  await page.hangUp();
  assert.equal((await page.ended()).reason, "hangup-local");
});
