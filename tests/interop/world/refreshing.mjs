// A session with a timer (RFC 4028) that the PBX refreshes: it calls, asks for a short session, and
// is told to refresh it.

import assert from "node:assert/strict";
import { behaviour } from "./behaviour.mjs";
import { alice, trunks } from "./gateway.mjs";
import { addresses } from "./network.mjs";
import { until } from "./process.mjs";

/** Two refreshes at half of 90 s, and some. */
const REFRESHES_WITHIN_MILLISECONDS = 125000;
/** What extension 601 of Asterisk plays, in Hz. */
const MILLIWATT = 1004;

/** Declares the behaviour for the Asterisk of that suite of Debian. */
export function refreshedByAsterisk(version, suite) {
  behaviour(`Asterisk ${version} refreshes its session with the gateway twice, and the call goes on`, async (world) => {
    const asterisk = await world.asterisk({ suite });
    // Nothing is asked for by the gateway: the timer is Asterisk's.
    await world.gateway({
      sipAddress: addresses.gatewayUnknown, routes: [], inbound: [{ match: "^1003$", user: alice.name }],
      trunks: [trunks.registered("1003", "tin whistle", { session_expires: 0 })],
    });
    await until(() => asterisk.contacts().includes("1003/sip:"), "1003 is registered", 15000, 200);
    const page = await world.chromium({ user: alice });
    const hearsMilliwatt = () => until(async () => {
      const tone = await page.measure(0.5);
      return Math.abs(tone.frequency - MILLIWATT) < 4 && tone.level_dbfs > -30;
    }, "the page hears Asterisk", 8000);
    const refreshes = asterisk.watch();
    const count = () => refreshes(["INVITE", "UPDATE"]);
    asterisk.command("channel originate PJSIP/1003 extension 601@from-gateway");
    await page.inState("incoming", 15000);
    await page.answer();
    await page.inState("in-call");
    await hearsMilliwatt();
    // Asterisk may say something of its own after the answer; what is counted comes from the clock.
    const before = count();
    const answered = Date.now();
    await until(() => count().sent >= before.sent + 2, "two refreshes of Asterisk's", REFRESHES_WITHIN_MILLISECONDS, 500);
    const seconds = ((Date.now() - answered) / 1000).toFixed(0);
    assert.ok(seconds > 60, "a refresh is at half of the interval");
    const { received, sent } = count();
    assert.equal(received, 0, "the gateway refreshes nothing itself");
    assert.equal(await page.state(), "in-call");
    await hearsMilliwatt();
    await page.hangUp();
    await page.ended();
    await asterisk.allCallsEnded();
    console.log(`# matrix | Asterisk ${version} | plain | it calls, refreshes: ok (${received} ours, ${sent - before.sent} theirs, within ${seconds} s) |`);
  }, { milliseconds: 240000 });
}
