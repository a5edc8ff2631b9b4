// SIP MESSAGE both ways, outside calls and inside, with sipp as the PBX.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const setting = { trunks: [trunks.sipp()], routes: [routes.sipp] };
const to = `${addresses.gateway}:5060`;

behaviour("the PBX writes to a user, the page has it, and who is not there is not written to", async (world) => {
  await world.gateway(setting);
  const page = await world.chromium({ user: alice });
  await page.keepTexts();
  const text = "Zurück um zehn.\nBring the keys.";
  const far = world.sipp(Scenario.writes("writes", text).response(200, { lacks: ["Contact:"] }), { to, service: "web-alice", from: "4930123" });
  const { type, ...message } = await page.written();
  assert.equal(type, "message");
  // sipp ends each line as SIP does, the last one too.
  assert.deepEqual(message, { from: { number: "4930123", name: "Ada" }, to: "web-alice", text: `${text.replace("\n", "\r\n")}\r\n` });
  await far.succeeds();
  const lost = world.sipp(Scenario.writes("writes_to_nobody", "x").response(404), { to, service: "web-nobody" });
  await lost.succeeds();
  const picture = world.sipp(Scenario.writes("writes_a_picture", "x", { type: "image/png" })
    .response(415, { has: [["Accept:", "text/plain"]] }), { to, service: "web-alice" });
  await picture.succeeds();
});

behaviour("the page writes to a number, and hears what became of it", async (world) => {
  await world.gateway(setting);
  const page = await world.chromium({ user: alice });
  const text = "Grüße aus dem Büro";
  const far = world.sipp(Scenario.written("written", {
    has: [["Content-Type:", "text/plain"], text, "^MESSAGE sip:700@"], lacks: ["Contact:"],
  }));
  await far.waits();
  const sent = await page.write(text, "700");
  assert.deepEqual([sent.type, sent.status], ["message-sent", 200]);
  await far.succeeds();
  const deaf = world.sipp(Scenario.written("refuses", {}, 405, "Method Not Allowed"));
  await deaf.waits();
  const failed = await page.write("x", "700");
  assert.deepEqual([failed.type, failed.code, failed.status], ["message-failed", "not-accepted", 405]);
  await deaf.succeeds();
});

behaviour("both sides of a call write to each other", async (world) => {
  await world.gateway(setting);
  const far = world.sipp(Scenario.called("writes_in_call")
    .answer(200, "OK", { body: sdp(), headers: ["Allow: INVITE, ACK, CANCEL, BYE, MESSAGE"] })
    .receive("ACK")
    .receive("MESSAGE", { has: ["from the page"] })
    .reply()
    .request("MESSAGE", 1, { type: "text/plain", body: ["from the PBX"] })
    .response(200)
    .isHungUp());
  const page = await world.chromium({ user: alice });
  await page.keepTexts();
  await far.waits();
  await page.call("700");
  const sent = await page.write("from the page");
  assert.deepEqual([sent.type, sent.status], ["message-sent", 200]);
  const message = await page.written();
  assert.match(message.text, /^from the PBX/);
  assert.equal(message.from, undefined, "it is of the call");
  assert.ok(message.call);
  await page.hangUp();
  await far.succeeds();
});
