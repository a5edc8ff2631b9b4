// Nobody answers: the gateway gives up after its own time.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";

behaviour("a call that rings for ever ends as no-answer", async (world) => {
  const pbx = await world.asterisk();
  await world.gateway({
    trunks: [trunks.asterisk()], routes: [routes.asterisk], more: { calls: { ring_timeout: 5 } },
  });
  const page = await world.chromium();
  await page.dial("607");
  await page.inState("ringing");
  assert.equal((await page.ended(15000)).reason, "no-answer");
  await pbx.allCallsEnded();
});
