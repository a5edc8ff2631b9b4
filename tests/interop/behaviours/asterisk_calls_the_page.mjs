// Asterisk calls a signed-in page: the same sound as in the other direction.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { alice } from "../world/gateway.mjs";
import { FIREFOX_TONE } from "../world/firefox.mjs";
import { sleep } from "../world/process.mjs";

async function ringAndAnswer(pbx, page, number) {
  pbx.call("web-alice", number);
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
}

behaviour("Chromium is called: its speech scores PESQ 4.0 or more at Asterisk", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium({ user: alice });
  await ringAndAnswer(pbx, page, "602");
  await sleep((world.audio.seconds + 3) * 1000);
  await page.hangUp();
  const heard = await world.audio.pesq(await pbx.recording());
  console.log(`# PESQ ${heard.mos}`);
  assert.ok(heard.mos >= 4.0, JSON.stringify(heard));
  await pbx.allCallsEnded();
});

behaviour("Chromium is called: it hears the milliwatt, and that Asterisk hangs up", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium({ user: alice });
  await ringAndAnswer(pbx, page, "601");
  await sleep(1500);
  await page.hears(1004);
  pbx.hangUpAll();
  assert.equal((await page.ended()).reason, "hangup-remote");
});

behaviour("Chromium is called and declines", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium({ user: alice });
  pbx.call("web-alice", "600");
  await page.inState("incoming");
  await page.reject();
  await page.ended();
  await pbx.allCallsEnded();
});

behaviour("the caller gives up while the page rings", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium({ user: alice });
  pbx.call("web-alice", "600");
  await page.inState("incoming");
  pbx.hangUpAll();
  assert.equal((await page.ended()).reason, "cancelled");
});

behaviour("Firefox is called: tone both ways", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.firefox({ user: alice });
  await ringAndAnswer(pbx, page, "602");
  await sleep(4000);
  await page.hangUp();
  const said = await world.audio.tone(await pbx.recording());
  assert.ok(Math.abs(said.frequency - FIREFOX_TONE) < 3, JSON.stringify(said));
  await pbx.allCallsEnded();
  await ringAndAnswer(pbx, page, "601");
  await sleep(1500);
  await page.hears(1004);
});
