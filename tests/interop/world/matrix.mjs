// What every PBX must do: register, a call in, a call out, hold from both sides, the session
// refreshed twice. Sound is checked both ways after each step.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PHONE_TONE, toneFile } from "./baresip.mjs";
import { behaviour } from "./behaviour.mjs";
import { alice, routes, trunks } from "./gateway.mjs";
import { addresses } from "./network.mjs";
import { sleep, until } from "./process.mjs";

/** What the page says, in Hz. */
const PAGE_TONE = 440;
/** Two refreshes at half of 90 s, and some. */
const REFRESHES_WITHIN_MILLISECONDS = 125000;

const USER = "1003";
const PASSWORD = "tin whistle";

/** Declares the behaviour for that Asterisk from that suite of Debian. */
export function pbxMatrix(version, suite) {
  behaviour(`Asterisk ${version}: register, call in, call out, hold, two refreshes`, async (world) => {
    const row = [];
    const step = async (name, what) => {
      try {
        row.push(`${name}: ${await what() ?? "ok"}`);
      } catch (error) {
        row.push(`${name}: FAILED`);
        throw error;
      }
    };
    try {
      await matrix(world, suite, step);
    } finally {
      console.log(`# matrix | Asterisk ${version} | ${row.join(" | ")} |`);
    }
  }, { milliseconds: 300000 });
}

async function matrix(world, suite, step) {
  const pbx = await world.asterisk({ suite });
  const phone = await world.phone("first");
  await world.gateway({
    sipAddress: addresses.gatewayUnknown, trunks: [trunks.registered(USER, PASSWORD)], routes: [routes.asterisk],
    inbound: [{ match: `^${USER}$`, user: alice.name }],
  });
  const microphone = join(world.place.logs, "page.wav");
  writeFileSync(microphone, toneFile(PAGE_TONE));

  await step("register", () => until(() => pbx.contacts().includes(`${USER}/sip:`), `${USER} is registered`, 15000, 200)
    .then(() => {}));
  const page = await world.chromium({ user: alice, microphone });

  const pageHears = (frequency) => until(async () => {
    const tone = await page.measure(0.5);
    return Math.abs(tone.frequency - frequency) < 4 && tone.level_dbfs > -30;
  }, `the page hears ${frequency} Hz`, 8000);
  const bothHear = async () => {
    await pageHears(PHONE_TONE);
    await phone.hears(PAGE_TONE);
  };

  await step("call in", async () => {
    pbx.command(`channel originate PJSIP/2001 application Dial PJSIP/${USER}`);
    await page.inState("incoming", 15000);
    await page.answer();
    await page.inState("in-call");
    await bothHear();
    await page.hangUp();
    await page.ended();
    await pbx.allCallsEnded();
  });

  await step("call out", async () => {
    await page.call("610", 15000);
    await bothHear();
  });

  await step("hold", async () => {
    await page.hold(true);
    await phone.hears(PAGE_TONE, false);
    await page.hold(false);
    await bothHear();
    phone.command("hold");
    await page.heldIs(true, 8000);
    phone.command("resume");
    await page.heldIs(false, 8000);
    await bothHear();
  });

  await step("two refreshes", async () => {
    const refreshes = pbx.watch();
    const count = () => {
      const { received, sent } = refreshes(["INVITE", "UPDATE"]);
      return received + sent;
    };
    await until(() => count() >= 2, "two refreshes", REFRESHES_WITHIN_MILLISECONDS, 500);
    const { received, sent } = refreshes(["INVITE", "UPDATE"]);
    await sleep(1000);
    assert.equal(await page.state(), "in-call");
    await bothHear();
    return `ok (${received} ours, ${sent} theirs)`;
  });

  await page.hangUp();
  await page.ended();
  await pbx.allCallsEnded();
}
