// A trunk that takes digits as tones only: Asterisk listens for them in the audio.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

// With doubles, which only the silence between them tells apart.
const ALL = "0123456789*#ABCD1100";

behaviour("every digit that the page presses, by its own audio and by message, is a tone at Asterisk", async (world) => {
  const pbx = await world.asterisk();
  await world.gateway({
    sipAddress: addresses.gatewayUnknown, routes: [routes.asterisk],
    trunks: [trunks.registered("1005", "tin whistle", { dtmf: "inband" })],
  });
  await until(() => /1005/.test(pbx.contacts()), "the trunk is registered");
  const page = await world.chromium();
  await page.call("603");
  await sleep(1000);
  const heard = async (send) => {
    const before = pbx.digits().length;
    await send();
    await sleep(ALL.length * 200 + 2000);
    return pbx.digits().slice(before).map(({ digit }) => digit).join("");
  };
  assert.equal(await heard(() => page.sendDigits(ALL)), ALL);
  assert.equal(await heard(() => page.evaluate((digits) => {
    const { phone } = globalThis.trunkline;
    phone.signaling.dtmf(phone.call.id, digits, 60);
  }, ALL)), ALL);
  await page.hangUp();
});
