// `srtp = "required"` and sipp: keys offered, taken and demanded.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep } from "../world/process.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const SUITE = "AES_CM_128_HMAC_SHA1_80";
const setting = { trunks: [trunks.sipp({ srtp: "required", crypto_suites: [SUITE] })], routes: [routes.sipp] };
const toGateway = { to: `${addresses.gateway}:5060`, service: "web-alice" };
const offered = { has: ["m=audio [0-9]+ RTP/SAVP 0", `a=crypto:1 ${SUITE} inline:`] };

behaviour("a call out offers keys alone, and sound that comes back under them is heard", async (world) => {
  const gateway = await world.gateway(setting);
  // Who answers with our key and sends back what it gets says what we said, encrypted.
  const far = world.sipp(Scenario.called("answers_with_keys", { ...offered, keep: [["key", null, "inline:[A-Za-z0-9+/=]*"]] })
    .answer(200, "OK", { body: sdp({ profile: "RTP/SAVP", lines: [`a=crypto:1 ${SUITE} [$key]`] }) })
    .receive("ACK")
    .isHungUp(), { echo: true });
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  await sleep(1500);
  await page.hearsSomething();
  assert.ok(gateway.process.output.includes(`srtp="${SUITE}"`), "the log names no suite");
  await page.hangUp();
  await far.succeeds();
});

behaviour("an answer without keys ends the call by ACK and BYE", async (world) => {
  await world.gateway(setting);
  const far = world.sipp(Scenario.called("answers_plainly", offered)
    .answer(200, "OK", { body: sdp() })
    .receive("ACK")
    .isHungUp());
  const page = await world.chromium();
  await far.waits();
  await page.dial("700");
  assert.equal((await page.ended()).reason, "bad-pbx-description");
  await far.succeeds();
});

behaviour("a caller without keys is refused with 488, one with keys gets ours", async (world) => {
  await world.gateway(setting);
  const page = await world.chromium({ user: alice });
  const plain = world.sipp(Scenario.calls("calls_plainly")
    .response(100, { optional: true })
    .refused(488, 1), toGateway);
  await plain.succeeds();
  assert.equal(await page.state(), "idle");
  const key = `a=crypto:3 ${SUITE} inline:${Buffer.alloc(30, 7).toString("base64")}`;
  const far = world.sipp(Scenario.calls("calls_with_keys", { body: sdp({ profile: "RTP/SAVP", lines: [key] }) })
    .response(100, { optional: true })
    .response(180, { optional: true })
    .response(200, { dialog: true, has: ["m=audio [0-9]+ RTP/SAVP 0", `a=crypto:3 ${SUITE} inline:`] })
    .request("ACK", 1)
    .isHungUp(), { ...toGateway, port: 5081 });
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await page.hangUp();
  await far.succeeds();
});
