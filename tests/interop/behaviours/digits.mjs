// Digits 0-9*#A-D both ways, none lost, none doubled, through Opus and through PCMU.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep, until } from "../world/process.mjs";

const ALL = "0123456789*#ABCD";

for (const codec of ["audio/opus", "audio/PCMU"]) {
  behaviour(`the page sends every digit to Asterisk through ${codec}`, async (world) => {
    const pbx = await world.asterisk();
    const page = await world.chromium({ codecs: [codec] });
    const before = pbx.digits().length;
    await page.call("603");
    await sleep(1000);
    await page.sendDigits(ALL);
    await sleep(ALL.length * 200 + 1500);
    const heard = pbx.digits().slice(before);
    assert.equal(heard.map(({ digit }) => digit).join(""), ALL);
    for (const { digit, duration } of heard) {
      // Asterisk itself measures up to 180 ms of its own 100 ms digits: see equipment.mjs.
      assert.ok(duration >= 60 && duration <= 260, `${digit} lasted ${duration} ms`);
    }
  });

  behaviour(`Asterisk sends every digit to the page through ${codec}`, async (world) => {
    await world.asterisk();
    const page = await world.chromium({ codecs: [codec] });
    await page.call("604");
    await until(async () => (await page.receivedDigits()).length >= ALL.length, "all digits", 10000).catch(() => {});
    // A doubled last digit would come now.
    await sleep(1000);
    assert.equal(await page.receivedDigits(), ALL);
  });
}

behaviour("Firefox, whose digits run at 8 kHz beside Opus, sends every digit", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.firefox();
  const before = pbx.digits().length;
  await page.call("603");
  await sleep(1000);
  await page.sendDigits(ALL);
  await sleep(ALL.length * 200 + 1500);
  assert.equal(pbx.digits().slice(before).map(({ digit }) => digit).join(""), ALL);
});
