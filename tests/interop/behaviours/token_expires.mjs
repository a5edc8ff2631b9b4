// A page whose session was opened by a token: what it says before the end, how a new link renews it,
// and that it does not go on trying with the token that has ended.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { PageView } from "../world/page_view.mjs";
import { sleep, until } from "../world/process.mjs";

eachItsOwnGateway();

const KEY = "a key of thirty-two bytes or more";
const sign_in = { anonymous: false, jwt_key: KEY, jwt_audience: "trunkline" };

function token(seconds, user = "dave") {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: user, aud: "trunkline", exp })}`;
  return `${signed}.${createHmac("sha256", KEY).update(signed).digest("base64url")}`;
}

/** Opens the page by a link with a token of so many seconds. */
async function open(world, seconds) {
  const gateway = await world.gateway({ more: { sign_in } });
  const opened = await PageView.open(world, { url: `${gateway.url}?processing=off#token=${token(seconds)}` });
  await opened.view.says("connection-text", /^Ready as dave$/);
  await opened.view.says("notice", /^Your sign-in ends soon, and your calls with it\. Open a new link in this tab to go on\. Time left: \d+ s$/);
  return opened;
}

behaviour("a new link in the same tab renews the session, whose call goes on", async (world) => {
  const { page, view } = await open(world, 30);
  const left = async () => Number(/\d+/.exec(await view.text("notice-countdown")));
  const first = await left();
  await until(async () => (await left()) < first, "the time left goes down", 3000);
  await page.call("echo");
  await page.evaluate((fragment) => { location.hash = fragment; }, `token=${token(3600)}`);
  await view.hides("notice");
  assert.equal(await page.evaluate(() => location.hash), "", "the token does not stay in the address");
  await sleep(31_000);
  assert.equal(await page.state(), "in-call");
  assert.equal(await page.connection(), "signed-in");
  await page.evaluate((fragment) => { location.hash = fragment; }, `token=${token(3600, "erin")}`);
  await view.says("problem-text", /another user/);
  assert.equal(await page.state(), "in-call");
});

behaviour("a gateway with tokens only asks for a link, and for no password", async (world) => {
  const gateway = await world.gateway({ users: [], more: { sign_in } });
  const { view } = await PageView.open(world, { url: `${gateway.url}?processing=off` });
  await view.says("sign-in-hint", /^A link with a token is needed: open the page by a new link\.$/);
  await view.hides("password");
  await view.hides("anonymous");
});

behaviour("a session that is not renewed ends in words, and is not tried again", async (world) => {
  const { page, view } = await open(world, 30);
  await page.call("echo");
  const ending = await page.ended(35_000);
  assert.equal(ending.reason, "token-expired");
  await view.says("last", /^The call ended because your sign-in has expired\.$/);
  await view.says("sign-in-problem", /^Your sign-in has expired\./);
  const sockets = [];
  page.tab.on("websocket", (socket) => sockets.push(socket.url()));
  await sleep(3_000);
  assert.deepEqual(sockets, []);
  await page.evaluate((fragment) => { location.hash = fragment; }, `token=${token(3600)}`);
  await until(async () => (await page.connection()) === "signed-in", "the new link signs in");
  await view.hides("sign-in");
});
