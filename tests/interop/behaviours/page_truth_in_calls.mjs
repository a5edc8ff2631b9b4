// What the page tells a person of a call while something goes wrong, each time from its real cause;
// page_truth_beside_calls.mjs has what is no matter of one call.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { PageView } from "../world/page_view.mjs";
import { sleep, until } from "../world/process.mjs";
import { Scenario, sdp } from "../world/scenario.mjs";

eachItsOwnGateway();

const ASTERISK_TONE = 1004;

/* Silence */

behaviour("the telephone side sends nothing: the page says so, and never that the call is good", async (world) => {
  await world.gateway({ trunks: [trunks.sipp({ dtmf: "info" })], routes: [routes.sipp] });
  const far = world.sipp(Scenario.called("silent").answer(200, "OK", { body: sdp({ audio: "played" }) }).receive("ACK")
    .receive("INFO").reply().play().isHungUp(), { tone: 700 });
  const { page, view } = await PageView.open(world);
  await far.waits();
  await view.keepVerdicts();
  await page.call("700");
  await view.says("state", /^No sound comes from the other side$/);
  await view.says("verdict", /^Other side silent$/);
  await sleep(2500);
  assert.ok(!(await view.verdicts()).includes("Good"), JSON.stringify(await view.verdicts()));
  // A digit is what the scenario waits for before it speaks.
  await page.evaluate(() => globalThis.trunkline.phone.signaling.dtmf(globalThis.trunkline.phone.call.id, "1"));
  await view.hears(700);
  await view.says("state", /^Connected$/);
  await view.says("verdict", /^Good$/);
  await page.hangUp();
  await far.succeeds();
});

behaviour("the RTP of the PBX stops in mid-call, and comes again", async (world) => {
  await world.asterisk();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await view.says("verdict", /^Good$/, 15000);
  world.network.dropMedia("pbx");
  await view.says("state", /^No sound comes from the other side$/);
  await view.says("verdict", /^Other side silent$/);
  await view.isUsable("other-side-silent");
  world.network.dropMedia(null);
  await view.says("state", /^Connected$/);
  await view.says("verdict", /^Good$/);
});

behaviour("the page's sound does not reach the gateway: it says so while the other side is heard", async (world) => {
  await world.asterisk();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await view.says("verdict", /^Good$/, 15000);
  world.network.dropMedia("browser");
  await view.says("state", /^Your sound does not reach the gateway$/);
  await view.keepVerdicts();
  await view.says("verdict", /^You are not heard$/);
  await view.isUsable("not-heard");
  await view.hears(ASTERISK_TONE);
  assert.deepEqual(await view.verdicts(), ["You are not heard"]);
  world.network.dropMedia(null);
  await view.says("state", /^Connected$/);
});

behaviour("nothing arrives from the gateway: the page itself notices", async (world) => {
  await world.asterisk();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await view.says("verdict", /^Good$/, 15000);
  world.network.dropMedia("gateway");
  await view.says("state", /^No sound comes from the gateway$/);
  await view.says("verdict", /^No sound arrives$/);
  world.network.dropMedia("both");
  await view.says("state", /^Your sound does not reach the gateway\. No sound comes from the gateway$/);
  await view.says("verdict", /^Both sides silent$/);
  world.network.dropMedia(null);
  await view.says("state", /^Connected$/);
  await view.hears(ASTERISK_TONE);
});

behaviour("a held call and a muted page are not called silent, and no verdict is given on a held call", async (world) => {
  await world.asterisk();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await view.says("verdict", /^Good$/, 15000);
  await view.press("hold");
  await view.says("state", /^On hold$/);
  await sleep(2500);
  await view.keepVerdicts();
  await sleep(4000);
  assert.deepEqual(await view.verdicts(), [""]);
  await view.isUsable("on-hold");
  await view.press("hold");
  await view.press("mute");
  await view.says("state", /^Connected, you are muted$/);
  await sleep(5000);
  await view.says("state", /^Connected, you are muted$/);
});

/* Endings */

for (const [cause, end, reason, words] of [
  ["Asterisk hangs up", (pbx) => pbx.hangUpAll(), "hangup-remote", /^The other side hung up\.$/],
  ["the gateway stops", (pbx, gateway) => gateway.drain(), "shutdown", /^The gateway is being restarted\.$/],
]) {
  behaviour(`${cause}, and the end of DTLS arrives before the gateway's message: the page waits for the reason`, async (world) => {
    const pbx = await world.asterisk();
    const gateway = await world.gateway({ more: { calls: { drain_timeout: 1 } } });
    const { page, view } = await PageView.open(world);
    await page.call("601");
    await view.hears(ASTERISK_TONE);
    world.network.dropSignalling(true);
    end(pbx, gateway);
    await until(() => page.evaluate(() => globalThis.trunkline.phone.peerConnection?.sctp?.transport?.state === "closed"
      || globalThis.trunkline.phone.peerConnection?.getSenders()[0].transport.state === "closed"), "the browser sees DTLS closed", 15000);
    // Chromium's connectionState stays "connected" then, until checks are unanswered for 7 s.
    await view.says("state", /^No sound comes from the gateway$|^Sound interrupted/);
    assert.equal(await page.state(), "in-call");
    world.network.dropSignalling(false);
    assert.equal((await page.ended(20000)).reason, reason);
    await view.says("last", words);
  });
}

behaviour("media is away until the connection has failed, and comes back: the call goes on", async (world) => {
  await world.asterisk();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await view.hears(ASTERISK_TONE);
  world.network.setLoss(1);
  await view.says("state", /^Sound interrupted, waiting for it to come back…$/, 15000);
  await view.says("verdict", /^Interrupted$/);
  await view.keepVerdicts();
  await until(() => page.evaluate(() => globalThis.trunkline.phone.peerConnection?.connectionState === "failed"), "the connection failed", 30000);
  assert.equal(await page.state(), "in-call");
  await view.says("state", /^Sound interrupted/);
  assert.ok(!(await view.verdicts()).includes("Good"));
  world.network.setLoss(0);
  await view.says("state", /^Connected$/);
  await view.hears(ASTERISK_TONE);
});

behaviour("media does not come back: the gateway ends the call, and the page says why", async (world) => {
  const pbx = await world.asterisk();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await view.hears(ASTERISK_TONE);
  world.network.setLoss(1);
  await view.says("state", /^Sound interrupted/, 15000);
  // The gateway does not wait for it: its time runs.
  await view.isUsable("interrupted");
  const { reason } = await page.ended(60000);
  world.network.setLoss(0);
  assert.equal(reason, "ice-failed");
  await view.says("last", /^No sound path to the gateway could be found/);
  await pbx.allCallsEnded();
});

/* Redirected and transferred */

behaviour("a 302 has words, and a button that calls the number", async (world) => {
  await world.asterisk();
  await world.gateway({ trunks: [trunks.asterisk(), trunks.sipp()], routes: [routes.asterisk, routes.sipp] });
  const far = world.sipp(Scenario.called("moved", {}).answer(302, "Moved Temporarily", { contact: `<sip:601@${addresses.second}:5080>` }).receive("ACK"));
  const { page, view } = await PageView.open(world);
  await far.waits();
  await view.fill("number", "700");
  await view.press("call");
  await view.says("last", /^The other side is reached at 601\.$/);
  await view.says("redirect", /^Call 601$/);
  await far.succeeds();
  await view.isUsable("redirected");
  await view.press("redirect");
  await page.inState("in-call");
  await view.hides("redirect");
  await view.hears(ASTERISK_TONE);
  await view.press("hang-up");
  await view.says("last", /^Call ended\.$/);
  await view.hides("redirect");
});

behaviour("calls that were transferred say so, by the page itself and by the PBX", async (world) => {
  const pbx = await world.asterisk();
  await world.phone();
  const { page, view } = await PageView.open(world);
  await page.call("613");
  await view.says("who", /^610$/, 15000);
  await page.hangUp();
  await page.ended();
  await page.call("610");
  await page.evaluate(() => {
    const { phone } = globalThis.trunkline;
    phone.signaling.transfer(phone.call.id, "602");
  });
  assert.equal((await page.ended()).reason, "transferred");
  await view.says("last", /^The call was transferred\. The others go on without you\.$/);
  pbx.hangUpAll();
  await pbx.allCallsEnded();
});

behaviour("a call that rings and one that comes can be used at each size", async (world) => {
  const pbx = await world.asterisk();
  const { page, view } = await PageView.open(world, { user: alice });
  await view.isUsable("ready");
  await page.dial("607");
  await view.says("state", /^Ringing…$/);
  await view.isUsable("ringing");
  pbx.call("web-alice", "601");
  await view.says("incoming-who", /./);
  await view.isUsable("second-call");
  await page.hangUp();
  await view.says("answer-text", /^Answer$/);
  // A call that only rings has no quality.
  await view.hides("quality");
  await view.isUsable("incoming");
  await view.press("answer");
  await page.inState("in-call");
  await view.hears(ASTERISK_TONE);
  await view.isUsable("in-call");
});
