// A 3xx of sipp: followed to another machine, and passed to the page.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep } from "../world/process.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const setting = (more) => ({ trunks: [trunks.sipp(more)], routes: [routes.sipp] });
const elsewhere = `<sip:800@${addresses.second}:5080>`;
const moved = (name, contact) => Scenario.called(name)
  .answer(302, "Moved Temporarily", { contact })
  .receive("ACK");

behaviour("a 302 is followed: another machine answers, and the page hears it", async (world) => {
  await world.gateway(setting({ redirect: "follow", identity: "pai" }));
  const first = world.sipp(moved("moved", elsewhere));
  const second = world.sipp(Scenario.called("moved_to", { has: ["INVITE sip:800@", [ "To:", "700"]], lacks: ["P-Asserted-Identity"] })
    .answer(200, "OK", { body: sdp({ audio: "played" }) })
    .receive("ACK").play()
    .isHungUp(), { address: addresses.second, tone: 700 });
  const page = await world.chromium();
  await first.waits();
  await second.waits();
  await page.call("700");
  await sleep(800);
  await page.hears(700);
  await page.hangUp();
  await first.succeeds();
  await second.succeeds();
});

behaviour("of two addresses the one with the higher q is tried first, the other when it is busy", async (world) => {
  await world.gateway(setting({ redirect: "follow" }));
  const first = world.sipp(moved("two_addresses", `<sip:801@${addresses.second}:5080>;q=0.3, <sip:800@${addresses.second}:5081>;q=0.7`));
  const busy = world.sipp(Scenario.called("first_choice", { has: ["INVITE sip:800@"] })
    .answer(486, "Busy Here").receive("ACK"), { address: addresses.second, port: 5081 });
  const free = world.sipp(Scenario.called("second_choice", { has: ["INVITE sip:801@"] })
    .answer(200, "OK", { body: sdp() }).receive("ACK")
    .isHungUp(), { address: addresses.second });
  const page = await world.chromium();
  for (const one of [first, busy, free]) await one.waits();
  await page.call("700");
  await page.hangUp();
  for (const one of [first, busy, free]) await one.succeeds();
});

behaviour("a 302 is passed: the page learns the number, and the call ends", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(moved("passed", elsewhere));
  const page = await world.chromium();
  await page.evaluate(() => {
    globalThis.told = new Promise((resolve) => globalThis.trunkline.phone.signaling.addEventListener("redirected", ({ detail }) => resolve(detail.to), { once: true }));
  });
  await far.waits();
  await page.dial("700");
  assert.equal(await page.evaluate(() => globalThis.told), "800");
  assert.equal((await page.ended()).reason, "redirected");
  await far.succeeds();
});
