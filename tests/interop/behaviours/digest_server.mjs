// A trunk that must prove who it is, by the digest of sipp.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";

eachItsOwnGateway();

const to = `${addresses.gateway}:5060`;
const right = { user: "provider", password: "copper kettle" };
const proven = { inbound_auth: { username: right.user, password: right.password } };
const call = { to, service: "web-alice", milliseconds: 1500 };

behaviour("a call with the right password is let in, and in its call nothing more is asked", async (world) => {
  await world.gateway({ trunks: [trunks.sipp(proven)], routes: [routes.sipp] });
  const page = await world.chromium({ user: alice });
  const far = world.sipp("digest_call", { ...call, credentials: right });
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  assert.equal((await page.ended(10000)).reason, "hangup-remote");
  await far.succeeds();
});

behaviour("so is one from an address of no trunk, by TCP: by UDP a challenge may not be larger than its request", async (world) => {
  await world.gateway({ trunks: [trunks.sipp({ ...proven, accept_from: ["192.0.2.1/32"], target: "sip:192.0.2.1" })], routes: [routes.sipp] });
  const page = await world.chromium({ user: alice });
  const far = world.sipp("digest_call", { ...call, credentials: right, transport: "t1" });
  await page.inState("incoming");
  await page.answer();
  await page.ended(10000);
  await far.succeeds();
});

for (const [what, credentials] of [
  ["a wrong password", { ...right, password: "copper pan" }],
  ["an unknown user", { ...right, user: "nobody" }],
]) {
  behaviour(`${what} lets nobody in, and no page rings`, async (world) => {
    const gateway = await world.gateway({ trunks: [trunks.sipp(proven)], routes: [routes.sipp] });
    const page = await world.chromium({ user: alice });
    const far = world.sipp("digest_refused", { ...call, credentials });
    await far.succeeds();
    assert.equal(await page.state(), "idle");
    assert.equal(await gateway.metric('trunkline_sip_rejected_total{reason="credentials"}'), 1);
  });
}
