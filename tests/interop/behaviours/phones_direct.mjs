// Telephones without a PBX: the trunk is the phone itself.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { PHONE_TONE } from "../world/baresip.mjs";
import { alice, trunks } from "../world/gateway.mjs";
import { LINPHONE_TONE } from "../world/linphone.mjs";
import { addresses } from "../world/network.mjs";
import { sleep } from "../world/process.mjs";

eachItsOwnGateway();

async function hears(page, frequency) {
  await sleep(1500);
  await page.hears(frequency);
}

for (const transport of ["udp", "tcp"]) {
  behaviour(`baresip by ${transport}: called, held, calls back`, async (world) => {
    const phone = await world.phone("direct", { transport });
    await world.gateway({
      trunks: [trunks.phone({ target: `sip:${phone.address};transport=${transport}` })], routes: [{ match: "^4\\d+$", trunk: "phone" }],
    });
    const page = await world.chromium({ user: alice });
    await page.call("4001");
    await hears(page, PHONE_TONE);
    phone.command("hold");
    await page.heldIs(true);
    await sleep(500);
    phone.command("resume");
    await page.heldIs(false);
    await hears(page, PHONE_TONE);
    phone.command("hangup");
    assert.equal((await page.ended()).reason, "hangup-remote");

    phone.command("dial", `sip:web-alice@${addresses.gateway}:5060;transport=${transport}`);
    await page.inState("incoming");
    await page.answer();
    await page.inState("in-call");
    await hears(page, PHONE_TONE);
    await page.hangUp();
    await page.ended();
    await world.stopPhone("direct");
  });

  behaviour(`linphone by ${transport}: called, holds, calls back`, async (world) => {
    const phone = await world.linphone({ transport });
    await world.gateway({
      // By TCP it calls from the first address of its machine; its RTP always comes from there, which
      // neither its SDP nor, by UDP, its SIP says: it is heard by default (rtp.sources).
      trunks: [trunks.phone({ target: `sip:${phone.address};transport=${transport}`, accept_from: [`${addresses.asterisk}/32`] })],
      routes: [{ match: "^5\\d+$", trunk: "phone" }],
    });
    const page = await world.chromium({ user: alice });
    await page.call("5001");
    await hears(page, LINPHONE_TONE);
    await page.hold(true);
    await sleep(700);
    await page.hold(false);
    await hears(page, LINPHONE_TONE);
    await page.hangUp();
    await page.ended();

    await phone.isFree(1);
    phone.call(`sip:web-alice@${addresses.gateway}:5060;transport=${transport}`);
    await page.inState("incoming");
    await page.answer();
    await page.inState("in-call");
    await hears(page, LINPHONE_TONE);
    phone.hangUp();
    assert.equal((await page.ended()).reason, "hangup-remote");
    await world.stopLinphone();
  });
}
