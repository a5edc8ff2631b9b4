// config/asterisk as an operator copies it, with nothing of the tests'.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep } from "../world/process.mjs";

behaviour("the example configuration serves 600 and 601 and complains of nothing", async (world) => {
  const pbx = await world.asterisk({ exampleOnly: true });
  const page = await world.chromium();
  await page.call("601");
  await sleep(1500);
  await page.hears(1004);
  await page.hangUp();
  await page.ended();
  await page.call("600");
  await page.hangUp();
  // Without a network of its own a namespace resolves no names; that is not the example's fault.
  assert.deepEqual(pbx.complaints().filter((line) => !/netsock2\.c|acl\.c/.test(line)), []);
});
