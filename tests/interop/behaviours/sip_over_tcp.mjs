// The trunk by TCP instead of UDP.

import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep } from "../world/process.mjs";

behaviour("a call by SIP over TCP carries sound and ends", async (world) => {
  const pbx = await world.asterisk();
  await world.gateway({
    trunks: [trunks.asterisk({ target: `sip:${addresses.asterisk}:5060;transport=tcp` })], routes: [routes.asterisk],
  });
  const page = await world.chromium();
  await page.call("601");
  await sleep(1500);
  await page.hears(1004);
  await page.hangUp();
  await pbx.allCallsEnded();
});
