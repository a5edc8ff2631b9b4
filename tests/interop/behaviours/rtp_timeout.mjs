// Asterisk ends a call to which no RTP comes for four seconds (rtp_timeout of its endpoint). A page
// that sends nothing does not lose its call by that: the gateway sends silence once a second (RFC 6263).

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

const RTP_TIMEOUT_SECONDS = 4;
const SILENT_SECONDS = 3 * RTP_TIMEOUT_SECONDS;

/** Asterisk, and a page whose calls have that timeout there. */
async function start(world) {
  const pbx = await world.asterisk();
  await world.gateway({
    sipAddress: addresses.gatewayUnknown,
    trunks: [trunks.asterisk({ from_user: "gateway-rtp-timeout" })], routes: [routes.asterisk],
  });
  return { pbx, page: await world.chromium() };
}

const packetsSent = async (page) => (await page.statistics()).outbound.packetsSent;

/** How often the microphone sends, by what the browser counts. */
async function sends(page) {
  const before = await packetsSent(page);
  await sleep(1000);
  return (await packetsSent(page)) - before;
}

/** Packets that the browser has made already leave a moment after their track is gone. */
async function fallsSilent(page) {
  await until(async () => await sends(page) === 0, "the browser sends nothing", 10000);
}

async function hearsMilliwatt(page) {
  await page.hears(1004);
}

behaviour(`a page without a track sends nothing for ${SILENT_SECONDS} s: the call goes on, and is heard after`, async (world) => {
  const { pbx, page } = await start(world);
  await page.call("601");
  assert.ok(await sends(page) > 20, "the microphone sends");
  await page.takeMicrophoneAway();
  await fallsSilent(page);
  const before = await packetsSent(page);
  await sleep(SILENT_SECONDS * 1000);
  assert.equal(await packetsSent(page), before, "nothing was sent");
  assert.equal(await page.state(), "in-call");
  assert.equal(pbx.activeCalls(), 1);
  await hearsMilliwatt(page);
  await page.giveMicrophoneBack();
  assert.ok(await sends(page) > 20, "the microphone sends again");
  await sleep(2 * RTP_TIMEOUT_SECONDS * 1000);
  assert.equal(await page.state(), "in-call");
  await page.hangUp();
  assert.equal((await page.ended()).reason, "hangup-local");
  await pbx.allCallsEnded();
});

behaviour("a page that sends nothing from before the answer on: the call goes on", async (world) => {
  const { pbx, page } = await start(world);
  // It rings for two seconds, and echoes then.
  await page.dial("612");
  await page.takeMicrophoneAway();
  await page.inState("in-call");
  await fallsSilent(page);
  await sleep(SILENT_SECONDS * 1000);
  assert.equal(await page.state(), "in-call");
  assert.equal(pbx.activeCalls(), 1);
  await page.hangUp();
  await pbx.allCallsEnded();
});

behaviour("no RTP reaches Asterisk: it ends the call, so that its timeout is one", async (world) => {
  const { pbx, page } = await start(world);
  await page.call("601");
  world.network.dropRtpToPbx();
  try {
    const ending = await page.ended(3 * RTP_TIMEOUT_SECONDS * 1000);
    assert.equal(ending.reason, "hangup-remote", JSON.stringify(ending));
  } finally {
    world.network.letRtpToPbx();
  }
  await pbx.allCallsEnded();
});
