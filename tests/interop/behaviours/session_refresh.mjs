// The session timer of RFC 4028 with the gateway as the one that refreshes: the trunk asks for a
// short session, and Asterisk leaves the refreshes to who asked.

import assert from "node:assert/strict";
import { PHONE_TONE } from "../world/baresip.mjs";
import { behaviour } from "../world/behaviour.mjs";
import { trunks } from "../world/gateway.mjs";
import { until } from "../world/process.mjs";

/** Two refreshes at half of 90 s, and some. */
const REFRESHES_WITHIN_MILLISECONDS = 115000;

behaviour("the gateway refreshes its session with Asterisk twice, and the call goes on", async (world) => {
  const asterisk = await world.asterisk();
  await world.phone();
  await world.gateway({ trunks: [trunks.asterisk({ session_expires: 90, min_se: 90 })] });
  const page = await world.chromium();
  await page.call("610", 15000);
  const refreshes = asterisk.watch();
  const count = () => refreshes(["INVITE", "UPDATE"]);
  await until(() => count().received >= 2, "two refreshes of ours", REFRESHES_WITHIN_MILLISECONDS, 500);
  assert.equal(count().sent, 0, "Asterisk refreshes nothing itself");
  assert.equal(await page.state(), "in-call");
  await page.hears(PHONE_TONE);
  await page.hangUp();
  await page.ended();
  await asterisk.allCallsEnded();
}, { milliseconds: 180000 });
