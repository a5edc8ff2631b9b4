// Firefox ESR calls Asterisk through the gateway: tone both ways.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { FIREFOX_TONE } from "../world/firefox.mjs";
import { sleep } from "../world/process.mjs";

behaviour("Firefox's tone is heard by Asterisk", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.firefox();
  await page.call("602");
  await sleep(5000);
  await page.hangUp();
  const said = await world.audio.tone(await pbx.recording());
  console.log(`# ${JSON.stringify(said)}`);
  assert.ok(Math.abs(said.frequency - FIREFOX_TONE) < 3, JSON.stringify(said));
  assert.ok(said.purity > 0.9, JSON.stringify(said));
});

behaviour("Asterisk's milliwatt is heard in Firefox", async (world) => {
  await world.asterisk();
  const page = await world.firefox();
  await page.call("601");
  await sleep(2000);
  const tone = await page.hears(1004);
  console.log(`# ${JSON.stringify(tone)}`);
});
