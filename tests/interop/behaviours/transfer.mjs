// Transfers with Asterisk: the page gives its call away, and Asterisk sends the page's call on.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { PHONE_TONE } from "../world/baresip.mjs";
import { sleep, until } from "../world/process.mjs";

behaviour("the page gives its call with the phone to a number, and the two stay connected", async (world) => {
  const asterisk = await world.asterisk();
  await world.phone();
  const page = await world.chromium();
  await page.call("610");
  await page.evaluate(() => {
    const { phone } = globalThis.trunkline;
    phone.signaling.transfer(phone.call.id, "602");
  });
  const { reason } = await page.ended();
  assert.equal(reason, "transferred");
  await until(() => /Record/.test(asterisk.command("core show channels concise")), "the phone is at 602");
  await sleep(1500);
  asterisk.hangUpAll();
  await asterisk.allCallsEnded();
});

behaviour("a transfer to a number that is busy leaves the call as it was", async (world) => {
  const asterisk = await world.asterisk();
  await world.phone();
  const page = await world.chromium();
  await page.call("610");
  await page.evaluate(() => {
    const { phone } = globalThis.trunkline;
    globalThis.failed = new Promise((resolve) => phone.signaling.addEventListener("transfer-failed", ({ detail }) => resolve(detail.status), { once: true }));
    phone.signaling.transfer(phone.call.id, "699");
  });
  const status = await page.evaluate(() => globalThis.failed);
  assert.ok(status >= 400, String(status));
  await page.hears(PHONE_TONE);
  await page.hangUp();
  await asterisk.allCallsEnded();
});

behaviour("Asterisk sends the call on to the phone, and the page hears it", async (world) => {
  await world.asterisk();
  await world.phone();
  const page = await world.chromium();
  await page.call("613");
  await page.evaluate(() => {
    globalThis.told = new Promise((resolve) => globalThis.trunkline.phone.signaling.addEventListener("transferred", ({ detail }) => resolve(detail.to), { once: true }));
  });
  assert.equal(await page.evaluate(() => globalThis.told), "610");
  await sleep(1000);
  await page.hears(PHONE_TONE);
  assert.equal(await page.state(), "in-call");
  await page.hangUp();
});
