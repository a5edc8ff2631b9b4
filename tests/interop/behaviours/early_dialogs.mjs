// Before the answer, with sipp as the PBX: reliable provisional answers both ways, forks with
// their own early media, UPDATE, and a second answer that comes too late.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const setting = (more) => ({ trunks: [trunks.sipp(more)], routes: [routes.sipp] });
const reliable = (number) => ["Require: 100rel", `RSeq: ${number}`, "Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE"];

async function hears(page, frequency) {
  await sleep(800);
  await page.hears(frequency, { level: -12 });
}

/** Counts the descriptions that the gateway answers the page with. */
async function countAnswers(page) {
  await page.evaluate(() => {
    globalThis.answers = 0;
    globalThis.trunkline.phone.signaling.addEventListener("answer", () => { globalThis.answers += 1; });
  });
  return () => page.evaluate(() => globalThis.answers);
}

behaviour("a reliable 180 and a reliable 183 get a PRACK each, then the call is answered", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("reliable_answers", { has: [["Supported:", "100rel"]] })
    .answer(180, "Ringing", { headers: reliable(7) })
    .receive("PRACK", { has: ["RAck: 7 1 INVITE"] }).reply()
    .answer(183, "Session Progress", { headers: reliable(8), body: sdp({ audio: "played" }) })
    .receive("PRACK", { has: ["RAck: 8 1 INVITE"] }).reply()
    .play()
    .pause(5000)
    .answer(200, "OK", { body: sdp({ audio: "played" }) })
    .receive("ACK")
    .isHungUp(), { tone: 700 });
  const page = await world.chromium();
  await far.waits();
  await page.dial("700");
  await page.inState("early-media");
  await hears(page, 700);
  assert.equal(await page.state(), "early-media");
  await page.inState("in-call");
  await hears(page, 700);
  await page.hangUp();
  await far.succeeds();
});

behaviour("who demands reliable answers gets a 180 with RSeq, sends PRACK, and is answered", async (world) => {
  await world.gateway(setting());
  const page = await world.chromium({ user: alice });
  const far = world.sipp(Scenario.calls("demands_reliable", { headers: ["Require: 100rel", "Supported: 100rel"], body: sdp({ audio: "played" }) })
    .response(100, { optional: true })
    .response(180, { dialog: true, has: [["Require:", "100rel"]], keep: [["sequence", "RSeq:", "[0-9]+"]] })
    .request("PRACK", 2, { headers: ["RAck: [$sequence] 1 INVITE"] })
    .response(200, { has: ["CSeq: 2 PRACK"] })
    .response(200, { has: ["CSeq: 1 INVITE", "m=audio"] })
    .request("ACK", 1)
    .play()
    .isHungUp(), { to: `${addresses.gateway}:5060`, service: "web-alice", tone: 700 });
  await page.inState("incoming");
  // It rings for a while: the PRACK is through.
  await sleep(700);
  await page.answer();
  await page.inState("in-call");
  await hears(page, 700);
  await page.hangUp();
  await far.succeeds();
});

behaviour("two forks describe themselves, the second is heard and answers: the page has one answer", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("forks")
    .answer(183, "Session Progress", { tag: "first", body: sdp() })
    .pause(500)
    .answer(183, "Session Progress", { tag: "second", body: sdp({ audio: "played" }) })
    .play()
    .pause(3000)
    .answer(200, "OK", { tag: "second", body: sdp({ audio: "played" }) })
    .receive("ACK", { has: [["To:", "tag=second"]] })
    .isHungUp({ has: [["To:", "tag=second"]] }), { tone: 900 });
  const page = await world.chromium();
  const answers = await countAnswers(page);
  await far.waits();
  await page.dial("700");
  await page.inState("early-media");
  await hears(page, 900);
  assert.equal(await page.state(), "early-media");
  await page.inState("in-call");
  await hears(page, 900);
  assert.equal(await answers(), 1);
  await page.hangUp();
  await far.succeeds();
});

behaviour("UPDATE moves the sound before the answer, and holds and resumes after it", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("updates", { has: [["Allow:", "UPDATE"]] })
    .answer(183, "Session Progress", { headers: reliable(1), body: sdp() })
    .receive("PRACK").reply()
    .request("UPDATE", 1, { body: sdp({ audio: "played", version: 2 }) })
    .response(200, { has: ["CSeq: 1 UPDATE", "a=sendrecv"] })
    .play()
    .pause(2500)
    .answer(200, "OK")
    .receive("ACK")
    .pause(500)
    .request("UPDATE", 2, { body: sdp({ audio: "played", version: 3, lines: ["a=inactive"] }) })
    .response(200, { has: ["CSeq: 2 UPDATE", "a=inactive"] })
    .pause(1000)
    .request("UPDATE", 3, { body: sdp({ audio: "played", version: 4 }) })
    .response(200, { has: ["CSeq: 3 UPDATE", "a=sendrecv"] })
    .isHungUp(), { tone: 1200 });
  const page = await world.chromium();
  await far.waits();
  await page.dial("700");
  await page.inState("early-media");
  await hears(page, 1200);
  assert.equal(await page.state(), "early-media");
  await page.inState("in-call");
  await page.heldIs(true);
  await page.heldIs(false);
  await hears(page, 1200);
  await page.hangUp();
  await far.succeeds();
});

behaviour("a second fork that answers too late gets ACK and BYE, the first one keeps the call", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("late_answer")
    .answer(180, "Ringing", { tag: "first" })
    .answer(180, "Ringing", { tag: "second" })
    .answer(200, "OK", { tag: "first", body: sdp({ audio: "played" }) })
    .receive("ACK", { has: [["To:", "tag=first"]] })
    .play()
    .answer(200, "OK", { tag: "second", body: sdp(), again: false })
    .receive("ACK", { has: [["To:", "tag=second"]] })
    .isHungUp({ has: [["To:", "tag=second"]] })
    .isHungUp({ has: [["To:", "tag=first"]] }), { tone: 700 });
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  await hears(page, 700);
  assert.equal(await page.state(), "in-call");
  await page.hangUp();
  await far.succeeds();
});

behaviour("a PBX that makes the offer finds the answer in the ACK", async (world) => {
  await world.gateway(setting({ delayed_offer: true }));
  const far = world.sipp(Scenario.called("delayed_offer", { has: ["Content-Length: 0"], lacks: ["m=audio"] })
    .answer(180, "Ringing")
    .answer(200, "OK", { body: sdp({ audio: "played" }) })
    .receive("ACK", { has: ["Content-Type: application/sdp", "m=audio [1-9][0-9]* RTP/AVP 0"] })
    .play()
    .isHungUp(), { tone: 700 });
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  await hears(page, 700);
  await page.hangUp();
  await far.succeeds();
  await until(async () => (await (await world.gateway()).metric("trunkline_calls_open")) === 0, "the call is over");
});
