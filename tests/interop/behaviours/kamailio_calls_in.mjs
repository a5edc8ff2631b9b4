// A phone calls the page through a proxy that stays in the path: UDP from the phone, TCP to the
// gateway.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { PHONE_TONE } from "../world/baresip.mjs";
import { alice, trunks } from "../world/gateway.mjs";
import { sleep, until } from "../world/process.mjs";

behaviour("a call comes in through the proxy; holds, and the hang-up from the page go back through it", async (world) => {
  const proxy = await world.kamailio();
  const phone = await world.phone("fork");
  await world.gateway({ trunks: [trunks.kamailio()], routes: [] });
  const page = await world.chromium({ user: alice });
  phone.command("dial", "web-alice");
  await page.inState("incoming");
  assert.equal((await page.caller()).number, "3001");
  await page.answer();
  await page.inState("in-call");
  await phone.inCall();
  await sleep(1000);
  await page.hears(PHONE_TONE);
  await page.hold(true);
  await sleep(700);
  await page.hold(false);
  await sleep(1000);
  await page.hears(PHONE_TONE);
  await page.hangUp();
  await until(() => proxy.relayed().some((line) => line.startsWith("BYE by tcp")), "our BYE went through the proxy", 3000);
  assert.ok(proxy.relayed().some((line) => line.startsWith("INVITE by tcp")), proxy.relayed().join("\n"));
  assert.doesNotMatch(proxy.process.output, /unrouted/);
});

behaviour("the caller behind the proxy gives up", async (world) => {
  await world.kamailio();
  const phone = await world.phone("fork");
  await world.gateway({ trunks: [trunks.kamailio()], routes: [] });
  const page = await world.chromium({ user: alice });
  phone.command("dial", "web-alice");
  await page.inState("incoming");
  phone.command("hangup");
  assert.equal((await page.ended()).reason, "cancelled");
});
