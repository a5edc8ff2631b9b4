// SRTP with Asterisk by keys in SDP: always, where it can, and in the profiles with feedback; out
// and in, through hold. Speech by the other suite is judged in srtp_speech. Debian's Asterisk 22
// refuses AEAD_AES_128_GCM: it is left to the tests of the gateway.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

eachItsOwnGateway();

/** A gateway whose calls are those of this endpoint of Asterisk. */
async function secured(world, endpoint, more) {
  const pbx = await world.asterisk();
  const gateway = await world.gateway({
    sipAddress: addresses.gatewayUnknown,
    trunks: [trunks.asterisk({ from_user: endpoint, ...more })], routes: [routes.asterisk],
  });
  return { pbx, gateway };
}

async function hearsMilliwatt(page) {
  await sleep(1500);
  await page.hears(1004);
}

const protectedBy = (gateway, suite) => {
  assert.ok(gateway.process.output.includes(`srtp="${suite}"`), `no srtp="${suite}" in the gateway's log`);
};

const SUITE = "AES_CM_128_HMAC_SHA1_32";

behaviour(`required, ${SUITE}: speech to Asterisk scores PESQ 4.0 or more, and its tone comes`, async (world) => {
  const { pbx, gateway } = await secured(world, "gateway-srtp", { srtp: "required", crypto_suites: [SUITE] });
  const page = await world.chromium();
  await page.call("602");
  await sleep((world.audio.seconds + 3) * 1000);
  await page.hangUp();
  const heard = await world.audio.pesq(await pbx.recording());
  console.log(`# PESQ ${heard.mos}`);
  assert.ok(heard.mos >= 4.0, JSON.stringify(heard));
  await pbx.allCallsEnded();
  await page.call("601");
  await hearsMilliwatt(page);
  await page.hangUp();
  await pbx.allCallsEnded();
  protectedBy(gateway, SUITE);
});

behaviour("required: Asterisk calls the page, which hears its tone and is heard", async (world) => {
  const { pbx, gateway } = await secured(world, "gateway-srtp", { srtp: "required" });
  const page = await world.chromium({ user: alice });
  pbx.call("web-alice", "601", "gateway-srtp");
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await hearsMilliwatt(page);
  pbx.hangUpAll();
  assert.equal((await page.ended()).reason, "hangup-remote");
  protectedBy(gateway, "AES_CM_128_HMAC_SHA1_80");
});

behaviour("required: hold and resume by the page leave the sound as it was", async (world) => {
  const { pbx } = await secured(world, "gateway-srtp", { srtp: "required" });
  const page = await world.chromium();
  await page.call("601");
  await hearsMilliwatt(page);
  await page.hold(true);
  await sleep(1000);
  await page.hold(false);
  await hearsMilliwatt(page);
  await page.hangUp();
  await pbx.allCallsEnded();
});

behaviour("required: an Asterisk that offers plain RTP is refused", async (world) => {
  const { pbx, gateway } = await secured(world, "gateway-srtp", { srtp: "required" });
  await world.chromium({ user: alice });
  pbx.call("web-alice", "601", "gateway-plain");
  await until(() => gateway.process.output.includes('reason="bad-pbx-description"'), "the gateway refuses", 5000);
  await pbx.allCallsEnded();
});

behaviour("optional: an optimistic Asterisk takes the keys, one without SRTP is called plainly", async (world) => {
  const { pbx, gateway } = await secured(world, "gateway-osrtp", { srtp: "optional" });
  const page = await world.chromium({ user: alice });
  await page.call("601");
  await hearsMilliwatt(page);
  await page.hangUp();
  await pbx.allCallsEnded();
  protectedBy(gateway, "AES_CM_128_HMAC_SHA1_80");
  pbx.call("web-alice", "601", "gateway-plain");
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await hearsMilliwatt(page);
  await page.hangUp();
  await pbx.allCallsEnded();
});

behaviour("RTP/SAVPF: Asterisk with use_avpf is called and calls", async (world) => {
  const { pbx } = await secured(world, "gateway-srtpf", { srtp: "required", avpf: true });
  const page = await world.chromium({ user: alice });
  await page.call("601");
  await hearsMilliwatt(page);
  await page.hangUp();
  await pbx.allCallsEnded();
  pbx.call("web-alice", "601", "gateway-srtpf");
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await hearsMilliwatt(page);
  await page.hangUp();
  await pbx.allCallsEnded();
});
