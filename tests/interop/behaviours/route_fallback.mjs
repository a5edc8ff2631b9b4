// A route with two trunks: the first one announces that it cannot, the second one rings and answers.
// The page has one call and one answer, and hears first the one and then the other.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { trunks } from "../world/gateway.mjs";
import { sleep, until } from "../world/process.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const NUMBER = "691";
const route = { match: "^6\\d+$", trunk: "sipp", fallback: ["asterisk"], to: "$0" };

async function hears(page, frequency) {
  await sleep(800);
  await page.hears(frequency);
}

behaviour("an announcement and a 503 of the first trunk: Asterisk rings and is heard", async (world) => {
  const asterisk = await world.asterisk();
  ["Ringing", "Wait,3", "Answer", "Milliwatt"].forEach((step, at) => asterisk.command(`dialplan add extension ${NUMBER},${at + 1},${step} into from-gateway replace`));
  const gateway = await world.gateway({
    trunks: [trunks.sipp(), trunks.asterisk({ identity: "pai", codecs: ["PCMA"] })], routes: [route],
  });
  const first = world.sipp(Scenario.called("cannot", { has: [`INVITE sip:${NUMBER}@`], lacks: ["P-Asserted-Identity"] })
    .answer(183, "Session Progress", { body: sdp({ audio: "played" }) })
    .play()
    .pause(3500)
    .answer(503, "Service Unavailable")
    .receive("ACK"), { tone: 700 });
  const page = await world.chromium();
  await page.evaluate(() => {
    globalThis.answers = 0;
    globalThis.trunkline.phone.signaling.addEventListener("answer", () => { globalThis.answers += 1; });
  });
  await first.waits();
  await page.dial(NUMBER);
  await page.inState("early-media");
  await hears(page, 700);
  await page.inState("ringing", 15000);
  await first.succeeds();
  assert.equal(asterisk.activeCalls(), 1);
  await page.inState("in-call", 15000);
  await hears(page, 1004);
  assert.equal(await page.evaluate(() => globalThis.answers), 1);
  assert.equal(await gateway.metric("trunkline_route_fallbacks_total"), 1);
  await page.hangUp();
  await asterisk.allCallsEnded();
});

behaviour("the page gives up while the second trunk rings: Asterisk's call ends", async (world) => {
  const asterisk = await world.asterisk();
  const gateway = await world.gateway({
    // Nothing listens there.
    trunks: [trunks.sipp({ target: "sip:10.77.2.22:5099;transport=tcp" }), trunks.asterisk()], routes: [route],
  });
  const page = await world.chromium();
  await page.dial("607");
  await page.inState("ringing", 15000);
  await until(() => asterisk.activeCalls() === 1, "Asterisk has the call", 5000, 20);
  await page.hangUp();
  await asterisk.allCallsEnded();
  await until(() => /call ended.* trunk=asterisk reason="cancelled"/.test(gateway.process.output), "the log names the trunk that was left last", 5000);
});
