// What every PBX must do, in clear and by TLS with SDES: register, a call in, a call out, hold from
// both sides, the session refreshed twice, attended transfer. Sound is checked both ways after each
// step.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PHONE_TONE, SECOND_PHONE_TONE, toneFile } from "./baresip.mjs";
import { behaviour } from "./behaviour.mjs";
import { Certificates } from "./certificates.mjs";
import { alice, routes, trunks } from "./gateway.mjs";
import { addresses } from "./network.mjs";
import { sleep, until } from "./process.mjs";

/** What the page says, in Hz. */
const PAGE_TONE = 440;
/** Two refreshes at half of 90 s, and some. */
const REFRESHES_WITHIN_MILLISECONDS = 125000;
/** For what a listener hears to change: several calls with browsers of their own begin beside this. */
const HEARD_WITHIN_MILLISECONDS = 15000;

/** 1003 is in clear, 1004 speaks SDES. */
const accounts = {
  plain: { user: "1003", password: "tin whistle" },
  secure: { user: "1004", password: "brass monkey" },
};

/** The gateway's trunk and listeners for that protection. */
function gatewayOptions(protection, certificates) {
  const { user, password } = accounts[protection];
  const common = {
    sipAddress: addresses.gatewayUnknown, routes: [routes.asterisk], inbound: [{ match: `^${user}$`, user: alice.name }],
  };
  // An Asterisk that is called takes the interval of its caller.
  const short = { session_expires: 90 };
  if (protection === "plain") return { ...common, trunks: [trunks.registered(user, password, short)] };
  const own = certificates.sign("gateway.test", addresses.gatewayUnknown);
  return {
    ...common,
    trunks: [trunks.registered(user, password, {
      ...short,
      target: `sip:${addresses.asterisk};transport=tls`, tls: { name: "asterisk.test" }, srtp: "required",
    })],
    more: {
      sip: {
        listen: [`udp:${addresses.gatewayUnknown}:5060`, `tls:${addresses.gatewayUnknown}:5061`],
        tls: {
          certificate: own.certificate, certificate_key: own.key,
          ca: certificates.authority,
        },
      },
    },
  };
}

/** Declares the behaviour for the Asterisk of that suite of Debian, "plain" or "secure". */
export function pbxMatrix(version, suite, protection) {
  behaviour(`Asterisk ${version}, ${protection}: register, call in, call out, hold, two refreshes, transfer`, async (world) => {
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
      await matrix(world, suite, protection, step);
    } finally {
      console.log(`# matrix | Asterisk ${version} | ${protection} | ${row.join(" | ")} |`);
    }
  }, { milliseconds: 300000 });
}

async function matrix(world, suite, protection, step) {
  const { user } = accounts[protection];
  const certificates = protection === "secure" ? new Certificates(join(world.place.logs, "tls")) : undefined;
  const pbx = await world.asterisk({ suite, certificates });
  const phone = await world.phone("first");
  const second = await world.phone("second");
  await world.gateway(gatewayOptions(protection, certificates));
  const microphone = join(world.place.logs, "page.wav");
  writeFileSync(microphone, toneFile(PAGE_TONE));

  await step("register", () => until(() => pbx.contacts().includes(`${user}/sip:`), `${user} is registered`, 15000, 200)
    .then(() => {}));
  const page = await world.chromium({ user: alice, microphone });

  const pageHears = (frequency) => until(async () => {
    const tone = await page.measure(0.5);
    return Math.abs(tone.frequency - frequency) < 4 && tone.level_dbfs > -30;
  }, `the page hears ${frequency} Hz`, HEARD_WITHIN_MILLISECONDS);
  const bothHear = async () => {
    await pageHears(PHONE_TONE);
    await phone.hears(PAGE_TONE, true, HEARD_WITHIN_MILLISECONDS);
  };

  await step("call in", async () => {
    pbx.command(`channel originate PJSIP/2001 application Dial PJSIP/${user}`);
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
    await phone.hears(PAGE_TONE, false, HEARD_WITHIN_MILLISECONDS);
    await page.hold(false);
    await bothHear();
    phone.command("hold");
    await page.heldIs(true, HEARD_WITHIN_MILLISECONDS);
    phone.command("resume");
    await page.heldIs(false, HEARD_WITHIN_MILLISECONDS);
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

  await step("transfer", async () => {
    await page.hangUp();
    await page.ended();
    await pbx.allCallsEnded();
    await page.call("2001", 15000);
    await bothHear();
    await page.hold(true);
    await page.consult("2002");
    await second.hears(PAGE_TONE);
    assert.deepEqual(await page.join(), { first: "transferred", second: "transferred" });
    await until(() => pbx.connects("PJSIP/2001", "PJSIP/2002"), "the two phones are connected, and nobody else", 5000, 200);
    await phone.hears(SECOND_PHONE_TONE);
    await second.hears(PHONE_TONE);
    pbx.hangUpAll();
    await pbx.allCallsEnded();
  });
}
