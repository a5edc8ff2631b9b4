// JsSIP as it is published, in a page of another web server, against /sip: registration, calls both
// ways, the end of calls by either side.

import assert from "node:assert/strict";
import { join } from "node:path";
import { behaviour } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { JsSipPage, ORIGIN, toneMicrophone } from "../world/jssip_page.mjs";
import { until } from "../world/process.mjs";

/** What the microphone says, in Hz, and what the number "tone" plays. */
const SPOKEN = 700;
const TONE = 1000;

const options = {
  trunks: [trunks.asterisk()], routes: [routes.asterisk],
  more: { sign_in: { anonymous: false }, http: { allowed_origins: [ORIGIN] } },
};

async function open(world, more = {}) {
  const gateway = await world.gateway(options);
  const microphone = toneMicrophone(SPOKEN, join(world.place.logs, "microphone.wav"));
  const page = await JsSipPage.open({ gateway, user: alice, microphone, ...more });
  world.pages.push(page);
  return { gateway, page };
}

async function hears(world, page, frequency) {
  const path = join(world.place.logs, "heard.wav");
  let heard;
  await until(async () => {
    heard = await world.audio.tone(await page.record(1, path), 0.5);
    return Math.abs(heard.frequency - frequency) < 5 && heard.level_dbfs > -40;
  }, `${frequency} Hz is heard`, 15000).catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(heard)}`); });
}

async function calls(gateway) {
  return JSON.parse((await gateway.fetch("/health")).body).calls;
}

behaviour("JsSIP registers by digest, refuses a wrong password, unregisters", async (world) => {
  const { page } = await open(world);
  assert.equal((await page.tells("registered")).status, 200);
  await page.unregister();
  await page.tells("unregistered");
  await page.close();
  world.pages.pop();
  const { page: wrong } = await open(world, { user: { ...alice, password: "wrong" } });
  const { status } = await wrong.tells("registrationFailed");
  assert.equal(status, 401);
});

behaviour("JsSIP dials echo, hears itself, and hangs up", async (world) => {
  const { gateway, page } = await open(world);
  await page.tells("registered");
  await page.dial("echo");
  await page.inState("in-call");
  await hears(world, page, SPOKEN);
  assert.equal(await calls(gateway), 1);
  await page.hangUp();
  assert.equal((await page.tells("ended")).by, "local");
  await until(async () => await calls(gateway) === 0, "the call is over");
});

behaviour("JsSIP without a registration dials tone and hears it", async (world) => {
  const { page } = await open(world, { register: false });
  await page.tells("connected");
  await page.dial("tone");
  await page.inState("in-call");
  await hears(world, page, TONE);
  await page.hangUp();
  await page.inState("idle");
});

behaviour("JsSIP rings, is refused, gives up: 180, 486, CANCEL", async (world) => {
  const { gateway, page } = await open(world);
  await page.tells("registered");
  await page.dial("ring");
  await until(async () => (await page.seen()).some(({ event, status }) => event === "progress" && status === 180), "it rings");
  const described = (await page.seen()).filter((one) => one.event === "progress" && one.described);
  assert.equal(described.length, 1, "one provisional response has the answer");
  await page.hangUp();
  assert.equal((await page.tells("failed")).cause, "Canceled");
  await until(async () => await calls(gateway) === 0, "the call is over");
  await page.forget();
  await page.dial("busy");
  const { status } = await page.tells("failed");
  assert.equal(status, 486);
});

behaviour("the far end hangs up on JsSIP, callback calls it, it hears itself and hangs up", async (world) => {
  const { gateway, page } = await open(world);
  await page.tells("registered");
  await page.dial("callback");
  await page.inState("in-call");
  // The far end hangs up, and calls.
  assert.equal((await page.tells("ended", 20000)).by, "remote");
  await page.inState("incoming", 20000);
  assert.equal(await page.caller(), "callback");
  await page.answer();
  await page.inState("in-call");
  await hears(world, page, SPOKEN);
  await page.hangUp();
  await page.inState("idle");
  await until(async () => await calls(gateway) === 0, "the call is over");
});
