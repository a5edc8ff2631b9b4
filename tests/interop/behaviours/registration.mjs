// A trunk that registers, and answers challenges on its calls.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

eachItsOwnGateway();

for (const [user, password, algorithm] of [["1001", "correct horse", "MD5"], ["1002", "battery staple", "SHA-256"]]) {
  behaviour(`registers as ${user} by ${algorithm}, calls, and is called back`, async (world) => {
    const pbx = await world.asterisk();
    await world.gateway({
      sipAddress: addresses.gatewayUnknown, trunks: [trunks.registered(user, password)], routes: [routes.asterisk],
      inbound: [{ match: `^${user}$`, user: "alice" }],
    });
    await until(() => pbx.contacts().includes(`${user}/sip:`), `${user} is registered`, 10000, 200);
    const page = await world.chromium({ user: alice });
    await page.call("601");
    await sleep(1500);
    await page.hears(1004);
    await page.hangUp();
    await page.ended();

    pbx.command(`channel originate PJSIP/${user} extension 601@from-gateway`);
    await page.inState("incoming");
    await page.answer();
    await page.inState("in-call");
    await page.hangUp();
    await page.ended();
    await world.stopGateway();
    await until(() => !pbx.contacts().includes(`${user}/sip:`), `${user} is unregistered`, 5000, 200);
  });
}

behaviour("a wrong password is refused, said in the log, and the call ends", async (world) => {
  const pbx = await world.asterisk();
  const gateway = await world.gateway({
    sipAddress: addresses.gatewayUnknown, trunks: [trunks.registered("1001", "wrong")], routes: [routes.asterisk],
  });
  await sleep(2000);
  assert.ok(!pbx.contacts().includes("1001/sip:"));
  assert.ok(!gateway.process.output.includes("wrong password"), "the log shows the password");
  const page = await world.chromium();
  await page.dial("601");
  const ending = await page.ended(15000);
  assert.ok(["unauthorized", "forbidden", "trunk-refused"].includes(ending.reason), JSON.stringify(ending));
});
