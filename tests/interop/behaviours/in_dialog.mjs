// In an answered call, with sipp as the PBX: session timers, offers that cross, digits by INFO
// and REFER.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const setting = (more) => ({ trunks: [trunks.sipp(more)], routes: [routes.sipp] });
const toGateway = { to: `${addresses.gateway}:5060`, service: "web-alice" };
const timed = { session_expires: 10, min_se: 10 };
const timer = (refresher) => [`Session-Expires: 12;refresher=${refresher}`, "Require: timer"];

async function hears(page, frequency) {
  await sleep(800);
  await page.hears(frequency);
}

/** A call that is refused as too short once, and then answered with 12 s. */
const lengthened = (name, refresher, allow) => Scenario.called(name, { has: [["Session-Expires:", "10"], ["Min-SE:", "10"]] })
  .answer(422, "Session Interval Too Small", { headers: ["Min-SE: 12"] })
  .receive("ACK")
  .invited({ has: [["Session-Expires:", "12"], ["Min-SE:", "12"]] })
  .answer(200, "OK", { body: sdp(), headers: [...timer(refresher), `Allow: INVITE, ACK, CANCEL, BYE${allow}`] })
  .receive("ACK");

for (const [method, allow] of [["UPDATE", ", UPDATE"], ["INVITE", ""]]) {
  behaviour(`422 makes the session longer, and the gateway refreshes it by ${method}`, async (world) => {
    await world.gateway(setting(timed));
    const scenario = lengthened(`refreshed_by_${method}`, "uac", allow)
      .receive(method, { has: [["Session-Expires:", "12;refresher=uac"]] })
      .reply(200, "OK", { headers: timer("uac"), again: method === "INVITE", body: method === "INVITE" ? sdp() : undefined });
    if (method === "INVITE") scenario.receive("ACK");
    const far = world.sipp(scenario.isHungUp());
    const page = await world.chromium();
    await far.waits();
    await page.call("700");
    await sleep(7500);
    assert.equal(await page.state(), "in-call");
    await page.hangUp();
    await far.succeeds();
  });
}

behaviour("the PBX refreshes, and when it stops the gateway ends the call", async (world) => {
  await world.gateway(setting(timed));
  const far = world.sipp(lengthened("refreshes", "uas", ", UPDATE")
    .pause(5000)
    .request("UPDATE", 1, { headers: ["Supported: timer", "Session-Expires: 12;refresher=uac"] })
    .response(200, { has: [["Session-Expires:", "12;refresher=uac"], ["Require:", "timer"]] })
    .isHungUp());
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  const answered = Date.now();
  await page.ended(20000);
  const seconds = (Date.now() - answered) / 1000;
  // 5 s, and 12 s less a third of them.
  assert.ok(seconds > 12 && seconds < 15, `${seconds} s`);
  await far.succeeds();
});

behaviour("a call whose session would be too short is refused with 422", async (world) => {
  await world.gateway(setting(timed));
  const far = world.sipp(Scenario.calls("too_short", { headers: ["Supported: timer", "Session-Expires: 5"] })
    .response(100, { optional: true })
    .refused(422, 1, { has: [["Min-SE:", "10"]] }), toGateway);
  await far.succeeds();
});

behaviour("hold is refused with 491, and comes again", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("glare_491")
    .answer(200, "OK", { body: sdp() })
    .receive("ACK")
    .receive("INVITE", { has: ["a=sendonly"] }).reply(491, "Request Pending", { again: true })
    .receive("ACK")
    .receive("INVITE", { has: ["a=sendonly"] }).reply(200, "OK", { body: sdp({ version: 2, lines: ["a=recvonly"] }), again: true })
    .receive("ACK")
    .isHungUp());
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  await page.hold(true);
  await sleep(5500);
  await page.hangUp();
  await far.succeeds();
});

behaviour("both sides offer at once: both get 491, and the PBX's next offer is answered as held", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("glare")
    .answer(200, "OK", { body: sdp({ audio: "played" }) })
    .receive("ACK")
    .play()
    .invited({ has: ["a=sendonly"] })
    .request("INVITE", 1, { body: sdp({ audio: "played", version: 2 }) })
    .response(100, { optional: true })
    .refused(491, 1)
    .answer(491, "Request Pending", { tag: null })
    .receive("ACK")
    // Sooner than the gateway, whose Call-ID it is: what it wanted is in its answer.
    .request("INVITE", 2, { body: sdp({ audio: "played", version: 2 }) })
    .response(100, { optional: true })
    .response(200, { has: ["a=sendonly"] })
    .request("ACK", 2)
    .receive("INVITE", { has: ["a=sendrecv"] })
    .reply(200, "OK", { body: sdp({ audio: "played", version: 3 }), again: true })
    .receive("ACK")
    .isHungUp(), { tone: 700 });
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  await page.hold(true);
  // Longer than the gateway waits before it would try again.
  await sleep(5000);
  await page.hold(false);
  await hears(page, 700);
  await page.hangUp();
  await far.succeeds();
});

for (const [dtmf, type, one, five] of [
  ["info-relay", "application/dtmf-relay", "Signal=1.*Duration=120", "Signal=5.*Duration=120"],
  ["info", "application/dtmf", "1$", "5$"],
]) {
  behaviour(`digits of the page go out one by one as INFO with ${type}`, async (world) => {
    await world.gateway(setting({ dtmf }));
    const kind = ["Content-Type:", `${type}$`];
    const far = world.sipp(Scenario.called(`digits_${dtmf}`)
      .answer(200, "OK", { body: sdp() })
      .receive("ACK")
      .receive("INFO", { has: [kind, one] })
      .pause(300).reply()
      .receive("INFO", { has: [kind, five] }).reply()
      .isHungUp());
    const page = await world.chromium();
    await far.waits();
    await page.call("700");
    await page.evaluate(() => {
      const { phone } = globalThis.trunkline;
      phone.signaling.dtmf(phone.call.id, "15", 120);
    });
    await sleep(1500);
    await page.hangUp();
    await far.succeeds();
  });
}

behaviour("digits come in by INFO of both forms, other INFOs are refused", async (world) => {
  await world.gateway(setting());
  const far = world.sipp(Scenario.called("digits_in")
    .answer(200, "OK", { body: sdp() })
    .receive("ACK")
    .request("INFO", 1, { type: "application/dtmf-relay", body: ["Signal=7", "Duration=160"] }).response(200)
    .request("INFO", 2, { type: "application/dtmf", body: ["#"] }).response(200)
    .request("INFO", 3, { type: "text/plain", body: ["5"] }).response(415, { has: [["Accept:", "application/dtmf"]] })
    .request("INFO", 4, { headers: ["Info-Package: foo"], type: "application/dtmf", body: ["5"] }).response(469)
    .request("INFO", 5).response(200)
    .isHungUp());
  const page = await world.chromium();
  await far.waits();
  await page.call("700");
  await until(async () => (await page.receivedDigits()).length >= 2, "both digits", 5000);
  // A digit too many would come now.
  await sleep(700);
  assert.equal(await page.receivedDigits(), "7#");
  await page.hangUp();
  await far.succeeds();
});

behaviour("a caller sends the page on by REFER: NOTIFYs to it, a call to the new party, its tone in the page", async (world) => {
  await world.gateway(setting());
  const page = await world.chromium({ user: alice });
  const party = world.sipp(Scenario.called("new_party", { has: [["Referred-By:", "sip:sipp@"]] })
    .answer(180, "Ringing")
    .pause(500)
    .answer(200, "OK", { body: sdp({ audio: "played" }) })
    .receive("ACK").play()
    .isHungUp(), { tone: 1200 });
  await party.waits();
  const notified = (status, state) => ["NOTIFY", { has: [["Event:", "refer"], ["Content-Type:", "message/sipfrag"], ["Subscription-State:", state], `SIP/2.0 ${status}`] }];
  const far = world.sipp(Scenario.calls("refers")
    .response(100, { optional: true })
    .response(180, { optional: true })
    .response(200, { dialog: true })
    .request("ACK", 1)
    .request("REFER", 2, { headers: [`Refer-To: <sip:700@${addresses.sipp}:5080>`, "Referred-By: <sip:sipp@[local_ip]>"] })
    .response(202)
    .receive(...notified(100, "active")).reply()
    .receive(...notified(180, "active")).reply()
    // The BYE comes on its heels.
    .receiveForLater(...notified(200, "terminated"))
    .isHungUp()
    .answer(200, "OK", { tag: null, again: false }), { ...toGateway, port: 5081 });
  await page.inState("incoming");
  await page.evaluate(() => {
    globalThis.told = new Promise((resolve) => globalThis.trunkline.phone.signaling.addEventListener("transferred", ({ detail }) => resolve(detail.to), { once: true }));
  });
  await page.answer();
  assert.equal(await page.evaluate(() => globalThis.told), "700");
  await far.succeeds();
  await hears(page, 1200);
  assert.equal(await page.state(), "in-call");
  await page.hangUp();
  await party.succeeds();
});
