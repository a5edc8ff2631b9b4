// SRTP by keys in SDP with phones that demand it: linphone, which calls by TLS too, and baresip
// behind a proxy that talks nothing but TLS and wants a certificate from everybody, so that the
// keys are in clear nowhere on the way. What each side says is heard by the other.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PHONE_TONE, toneFile } from "../world/baresip.mjs";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { Certificates } from "../world/certificates.mjs";
import { alice, trunks } from "../world/gateway.mjs";
import { LINPHONE_TONE } from "../world/linphone.mjs";
import { addresses } from "../world/network.mjs";
import { until } from "../world/process.mjs";

eachItsOwnGateway();

/** What the page says, in Hz. */
const PAGE_TONE = 440;

async function openPage(world) {
  const microphone = join(world.place.logs, "page.wav");
  writeFileSync(microphone, toneFile(PAGE_TONE));
  return world.chromium({ user: alice, microphone });
}

async function bothHear(page, phone, tone) {
  let heard;
  await until(async () => {
    heard = await page.measure(0.5);
    return Math.abs(heard.frequency - tone) < 4 && heard.level_dbfs > -30;
  }, `the page hears ${tone} Hz`, 8000).catch((error) => {
    throw new Error(`${error.message}; it hears ${JSON.stringify(heard)}`);
  });
  await phone.hears(PAGE_TONE);
}

/** Calls of this gateway so far that were protected, by its log. */
const protectedCalls = (gateway) => new Set(
  [...gateway.process.output.matchAll(/call=(\d+) srtp="AES_CM_128_HMAC_SHA1_80"/g)].map(([, call]) => call)).size;

behaviour("linphone with SRTP: called by TCP, held, calls back by TLS", async (world) => {
  const certificates = new Certificates(join(world.place.logs, "tls"));
  const own = certificates.sign("gateway.test", addresses.gateway);
  const phone = await world.linphone({ transport: "tcp", srtp: true, authority: certificates.authority });
  const gateway = await world.gateway({
    // It calls from the first address of its machine.
    trunks: [trunks.phone({ target: `sip:${phone.address};transport=tcp`, accept_from: [`${addresses.asterisk}/32`], srtp: "required" })],
    routes: [{ match: "^5\\d+$", trunk: "phone" }],
    more: {
      sip: {
        listen: [`udp:${addresses.gateway}:5060`, `tcp:${addresses.gateway}:5060`, `tls:${addresses.gateway}:5061`],
        tls: {
          certificate: own.certificate, certificate_key: own.key,
          ca: certificates.authority,
        },
      },
    },
  });
  const page = await openPage(world);
  await page.call("5001");
  await bothHear(page, phone, LINPHONE_TONE);
  await page.hold(true);
  await page.hold(false);
  await bothHear(page, phone, LINPHONE_TONE);
  await page.hangUp();
  await page.ended();
  assert.equal(protectedCalls(gateway), 1);

  await phone.isFree(1);
  phone.call(`sip:web-alice@${addresses.gateway}:5061;transport=tls`);
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await bothHear(page, phone, LINPHONE_TONE);
  phone.hangUp();
  assert.equal((await page.ended()).reason, "hangup-remote");
  assert.equal(protectedCalls(gateway), 2);
});

behaviour("a phone with SRTP behind the proxy, by TLS on both sides of it: called, and calls", async (world) => {
  const certificates = new Certificates(join(world.place.logs, "tls"));
  const own = certificates.sign("gateway.test", addresses.gateway);
  const proxy = await world.kamailio({ certificates });
  const phone = await world.phone("fork", { transport: "tls", srtp: true, certificates });
  const gateway = await world.gateway({
    trunks: [trunks.kamailio({
      target: `sip:${addresses.kamailio};transport=tls`, tls: { name: "kamailio.test" }, srtp: "required",
    })],
    routes: [{ match: "^3\\d+$", trunk: "kamailio" }],
    more: {
      sip: {
        listen: [`tls:${addresses.gateway}:5061`], tls: {
          certificate: own.certificate, certificate_key: own.key,
          ca: certificates.authority, client_ca: certificates.authority,
        },
      },
    },
  });
  const page = await openPage(world);
  await page.call("3001");
  await bothHear(page, phone, PHONE_TONE);
  await page.hold(true);
  await page.hold(false);
  await bothHear(page, phone, PHONE_TONE);
  await page.hangUp();
  await page.ended();
  assert.equal(protectedCalls(gateway), 1);

  phone.command("dial", "web-alice");
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await bothHear(page, phone, PHONE_TONE);
  phone.command("hangup");
  assert.equal((await page.ended()).reason, "hangup-remote");
  assert.equal(protectedCalls(gateway), 2);
  // Each line says by what its request came in: from the gateway, and from the phone.
  const relayed = [...proxy.relayed("request"), ...proxy.relayed()];
  assert.ok(relayed.filter((line) => line.startsWith("INVITE by tls")).length >= 3, relayed.join("\n"));
  assert.ok(relayed.filter((line) => line.startsWith("BYE by tls")).length === 2, relayed.join("\n"));
  assert.ok(relayed.every((line) => / by tls /.test(line)), relayed.join("\n"));
  assert.doesNotMatch(proxy.process.output, /unrouted/);
});
