// Nothing listens where the trunk should be.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";

eachItsOwnGateway();

for (const transport of ["udp", "tcp"]) {
  behaviour(`a trunk that is down by ${transport}: the page is told`, async (world) => {
    await world.gateway({
      trunks: [trunks.sipp({ target: `sip:10.77.2.22:5099;transport=${transport}` })], routes: [routes.sipp],
    });
    const page = await world.chromium();
    await page.dial("700");
    // By UDP too: the timers alone would take 32 s.
    assert.equal((await page.ended(5000)).reason, "trunk-unreachable");
  });
}
