// A proxy between the gateway and the phones: it stays in the path by Record-Route, and rings two
// phones of one user at once. The gateway talks TCP to it, the phones UDP.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { PHONE_TONE, SECOND_PHONE_TONE } from "../world/baresip.mjs";
import { trunks } from "../world/gateway.mjs";
import { sleep, until } from "../world/process.mjs";

const setting = {
  trunks: [trunks.kamailio()], routes: [{ match: "^3\\d+$", trunk: "kamailio" }],
};

/** What the fork says when its call is taken back. */
const cancelled = /session closed|Cancelled|terminated/i;

async function hears(page, frequency) {
  await page.hears(frequency);
}

for (const [answers, tone] of [["fork", PHONE_TONE], ["otherFork", SECOND_PHONE_TONE]]) {
  behaviour(`two phones ring, ${answers} answers: the page hears it, the other is cancelled`, async (world) => {
    const proxy = await world.kamailio();
    const rings = answers === "fork" ? "otherFork" : "fork";
    // The one that answers does so after both have rung.
    const answering = await world.phone(answers, { answers: false });
    const other = await world.phone(rings, { answers: false });
    await world.gateway(setting);
    const page = await world.chromium();
    const before = proxy.relayed().length;
    await page.dial("3001");
    await page.inState("ringing");
    await answering.process.says(/Incoming call from/);
    await other.process.says(/Incoming call from/);
    answering.command("accept");
    await page.inState("in-call");
    await other.process.says(cancelled);
    await sleep(1000);
    await hears(page, tone);

    // A re-INVITE each way follows the route set, with the other transport on the other side.
    await page.hold(true);
    await sleep(700);
    await page.hold(false);
    await sleep(1000);
    await hears(page, tone);
    answering.command("hold");
    await page.heldIs(true);
    await sleep(500);
    answering.command("resume");
    await page.heldIs(false);
    await sleep(1000);
    await hears(page, tone);

    await page.hangUp();
    await page.ended();
    await until(() => proxy.relayed().slice(before).some((line) => line.startsWith("BYE by tcp")), "a BYE by TCP through the proxy", 3000);
    const routed = proxy.relayed().slice(before);
    for (const [method, transport] of [["ACK", "tcp"], ["INVITE", "tcp"], ["INVITE", "udp"], ["BYE", "tcp"]]) {
      assert.ok(routed.some((line) => line.startsWith(`${method} by ${transport}`)), `${method} by ${transport}: ${routed.join("\n")}`);
    }
    assert.doesNotMatch(proxy.process.output, /unrouted/);
    await world.stopPhone(answers);
    await world.stopPhone(rings);
  });
}

behaviour("the phone behind the proxy hangs up", async (world) => {
  await world.kamailio();
  const phone = await world.phone("fork");
  await world.gateway(setting);
  const page = await world.chromium();
  await page.call("3001");
  await phone.inCall();
  await sleep(1000);
  await hears(page, PHONE_TONE);
  phone.command("hangup");
  assert.equal((await page.ended()).reason, "hangup-remote");
  await world.stopPhone("fork");
});

behaviour("the page gives up while both phones ring", async (world) => {
  await world.kamailio();
  const phones = [await world.phone("fork", { answers: false }), await world.phone("otherFork", { answers: false })];
  await world.gateway(setting);
  const page = await world.chromium();
  await page.dial("3001");
  await page.inState("ringing");
  for (const phone of phones) await phone.process.says(/Incoming call from/);
  await page.hangUp();
  for (const phone of phones) await phone.process.says(cancelled);
});
