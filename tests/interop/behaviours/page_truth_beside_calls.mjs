// What the page tells a person of signing in, of the connection to the gateway and of itself while
// something goes wrong, each time from its real cause.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { alice, routes } from "../world/gateway.mjs";
import { PageView } from "../world/page_view.mjs";
import { sleep, until } from "../world/process.mjs";

eachItsOwnGateway();

const bob = { name: "bob", password: "builder" };
const ASTERISK_TONE = 1004;

/* Sign-in */

/** What the page writes to the gateway as `hello` from now on. */
function keepHellos(page) {
  const hellos = [];
  page.tab.on("websocket", (socket) => socket.on("framesent", ({ payload }) => {
    if (String(payload).includes("\"hello\"")) hellos.push(JSON.parse(payload));
  }));
  return hellos;
}

behaviour("sign-in says what is possible, sends no empty password, and lets in by the right one", async (world) => {
  const gateway = await world.gateway({ users: [alice, bob], more: { sign_in: { anonymous: false } } });
  const { page, view } = await PageView.open(world, { url: `${gateway.url}?processing=off` });
  await view.says("sign-in-problem", /^This gateway admits no guests\.$/);
  await view.says("sign-in-hint", /^Sign in with your user name and password\.$/);
  await view.hides("anonymous");
  await view.says("connection-text", /^Not signed in$/);
  await view.isUsable("sign-in");
  const hellos = keepHellos(page);
  await view.fill("user", alice.name);
  await page.tab.press("#user", "Enter");
  await sleep(500);
  assert.deepEqual(hellos, [], "an empty password is not sent");
  await view.fill("password", "wrong");
  await page.tab.press("#password", "Enter");
  await view.says("sign-in-problem", /^The user name or the password is wrong\.$/);
  await view.fill("password", alice.password);
  await page.tab.press("#password", "Enter");
  await view.hides("sign-in");
  await view.says("connection-text", /^Ready as alice$/);
  assert.deepEqual(hellos.map(({ user, password }) => [user, password]), [[alice.name, "wrong"], [alice.name, alice.password]]);
});

behaviour("a password that was wrong is not sent again by the page, which counts down in the dialog", async (world) => {
  const limits = { max_failures_per_user_and_address: 1, failure_window: 8, refusal_delay: 0 };
  const gateway = await world.gateway({ more: { sign_in: { anonymous: false, ...limits } } });
  const { page, view } = await PageView.open(world, { url: `${gateway.url}?processing=off` });
  await view.says("sign-in-problem", /^This gateway admits no guests\.$/);
  const hellos = keepHellos(page);
  await view.fill("user", alice.name);
  for (const [password, answer] of [["wrong", /^The user name or the password is wrong\.$/], ["wrong too", /^Too many wrong sign-ins\.$/]]) {
    await view.fill("password", password);
    await page.tab.press("#password", "Enter");
    await view.says("sign-in-problem", answer);
  }
  await view.says("sign-in-countdown", /^You can try again in \d+ s\.$/);
  await view.hides("retry");
  await view.says("sign-in-countdown", /^You can try again now\.$/, 15000);
  await sleep(1000);
  assert.deepEqual(hellos.map(({ password }) => password), ["wrong", "wrong too"]);
  await view.fill("password", alice.password);
  await page.tab.press("#password", "Enter");
  await view.says("connection-text", /^Ready as alice$/);
  await view.press("sign-in-open");
  await view.says("sign-in-hint", /^You are signed in as alice\. /);
});

behaviour("a link with a user name asks for the password of that user", async (world) => {
  const gateway = await world.gateway({ more: { sign_in: { anonymous: false } } });
  const { page, view } = await PageView.open(world, { url: `${gateway.url}?processing=off&user=alice` });
  await view.says("sign-in-problem", /^Enter the password of alice\.$/);
  await view.fill("password", alice.password);
  await page.tab.press("#password", "Enter");
  await view.says("connection-text", /^Ready as alice$/);
});

behaviour("a second sign-in that fails leaves the session and its call; one that succeeds takes its place", async (world) => {
  await world.asterisk();
  await world.gateway({ users: [alice, bob], routes: [routes.asterisk, routes.unknown] });
  const { page, view } = await PageView.open(world, { user: alice });
  await page.call("601");
  await view.press("sign-in-open");
  await view.fill("user", bob.name);
  await view.fill("password", "wrong");
  await page.tab.press("#password", "Enter");
  await view.says("sign-in-problem", /^The user name or the password is wrong\.$/);
  await view.says("connection-text", /^Ready as alice$/);
  assert.equal(await page.state(), "in-call");
  await view.hears(ASTERISK_TONE);
  await view.isUsable("sign-in-in-call");
  await view.fill("password", bob.password);
  await page.tab.press("#password", "Enter");
  await view.says("connection-text", /^Ready as bob$/);
  await view.hides("sign-in");
  await view.says("last", /^The call ended because you signed in anew\.$/);
  // After a break it is the new session that is signed in again.
  assert.equal(await page.evaluate(() => globalThis.trunkline.phone.user), bob.name);
});

/* The connection to the gateway */

behaviour("a lost connection counts down to the next attempt, and can be tried at once", async (world) => {
  const pbx = await world.asterisk();
  const gateway = await world.gateway();
  const { page, view } = await PageView.open(world);
  await page.call("601");
  await gateway.kill();
  // Nothing tells Asterisk.
  pbx.hangUpAll();
  assert.equal((await page.ended()).reason, "signaling-lost");
  await view.says("last", /^The connection to the gateway was lost\.$/);
  await view.says("connection-text", /^The gateway cannot be reached\./);
  // The waits double: until one is long enough to be looked at.
  await view.says("countdown", /^Trying again in (1[2-9]|2\d|30) s$/, 60000);
  const seconds = async () => Number(/\d+/.exec(await view.text("countdown")));
  const first = await seconds();
  await until(async () => (await seconds()) < first, "the countdown goes down", 3000);
  assert.equal(await page.evaluate(() => document.getElementById("call").disabled), true);
  await view.isUsable("connection-lost");
  await world.stopGateway();
  await world.gateway();
  assert.equal(await page.connection(), "waiting");
  await view.press("try-now");
  await view.says("connection-text", /^Ready$/, 3000);
  await view.hides("retry");
  await page.call("601");
  await view.hears(ASTERISK_TONE);
});

behaviour("draining is announced in a call and without one, and the restart is told as the reason", async (world) => {
  await world.asterisk();
  const gateway = await world.gateway({ more: { calls: { drain_timeout: 100 } } });
  const { page, view } = await PageView.open(world);
  await page.call("601");
  gateway.drain();
  await view.says("notice", /^The gateway is being restarted: no new calls; this call may go on for a while\. Time left: \d+ s$/);
  await view.hears(ASTERISK_TONE);
  await view.isUsable("draining");
  await view.press("hang-up");
  await world.stopGateway();
  await view.says("connection-text", /^The gateway is being restarted\./);
  await view.hides("notice");
  await view.says("retry", /Try now/);
});

/* The page itself */

/** Goes to another page of the same window and back; gives what the browser said of its cache. */
async function leaveAndReturn(page, url) {
  await page.evaluate(() => {
    for (const type of ["pagehide", "pageshow"]) addEventListener(type, ({ persisted }) => { globalThis[type] = persisted; });
  });
  await page.tab.goto(`${url}icon.svg`);
  // The driver's own way back waits for an event of loading that a cached page does not have.
  await page.evaluate(() => history.back()).catch(() => {});
  return until(() => page.evaluate(() => globalThis.trunkline && { hidden: globalThis.pagehide ?? null, shown: globalThis.pageshow ?? null })
    .catch(() => null), "the page is back", 15000);
}

const cached = { without: ["--disable-back-forward-cache"] };

behaviour("a page that comes back from the back/forward cache is connected again at once", async (world) => {
  await world.asterisk();
  const { url } = await world.gateway();
  const { page, view } = await PageView.open(world, cached);
  assert.deepEqual(await leaveAndReturn(page, url), { hidden: true, shown: true });
  await view.says("connection-text", /^Ready$/, 5000);
  await page.call("601");
  await view.hears(ASTERISK_TONE);
});

behaviour("the back/forward cache does not hang up, leaving for good does", async (world) => {
  const pbx = await world.asterisk();
  const { url } = await world.gateway();
  const { page, view } = await PageView.open(world, cached);
  await page.call("601");
  // No browser caches a page with a peer connection today: only the event can be had.
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await sleep(500);
  assert.equal(await page.state(), "in-call");
  await view.hears(ASTERISK_TONE);
  assert.deepEqual(await leaveAndReturn(page, url), { hidden: null, shown: null }, "another document: Chromium did not cache it");
  await pbx.allCallsEnded();
  await view.says("connection-text", /^Ready$/, 5000);
});

behaviour("a page without https says at once that no call is possible", async (world) => {
  const gateway = await world.gateway();
  const { view } = await PageView.open(world, { url: `${gateway.url}?processing=off`, insecure: true });
  await view.says("insecure", /^No calls are possible here: .*https:\/\/10\.77\.1\.1\/.*http:\/\/localhost:8080\//, 3000);
  await view.isUsable("insecure");
});
