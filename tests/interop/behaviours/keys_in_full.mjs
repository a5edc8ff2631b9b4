// All sixteen keys, pressed in the page by insertDTMF and asked for by the JSON message `dtmf`, from
// Chromium and from Firefox, through Opus: at Asterisk's Read(), at a phone behind Asterisk, at a
// phone that is the trunk itself. None lost, none doubled, durations within 20 %.
//
// Who judges: which keys, always the peer itself. How long, at Asterisk its own log; the phones do
// not report a duration, so there the events on the wire in front of the phone (RFC 4733: duration
// of the end packets).

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

const ALL = "0123456789*#ABCD";
/** Of each key, and insertDTMF's pause after it, in ms. */
const PRESSED = 100;
const PAUSE = 100;
const TOLERANCE = 0.2 * PRESSED;
/** Longer than a doubled last key takes. */
const DOUBLED = 700;

const ways = {
  insertDTMF: (page, keys) => page.evaluate(([tones, duration, pause]) => {
    const { dtmf } = globalThis.trunkline.phone.peerConnection.getSenders()[0];
    dtmf.insertDTMF(tones, duration, pause);
  }, [keys, PRESSED, PAUSE]),
  JSON: (page, keys) => page.evaluate(([digits, duration]) => {
    const { phone } = globalThis.trunkline;
    phone.signaling.dtmf(phone.call.id, digits, duration);
  }, [keys, PRESSED]),
};

const text = (digits) => digits.map(({ digit }) => digit).join("");

/** The peers: the number, and after what was prepared the keys that it heard and their durations. */
const peers = {
  "Asterisk's Read()": {
    number: "603",
    prepare: async (world) => {
      const pbx = await world.asterisk();
      const before = pbx.digits().length;
      const digits = () => pbx.digits().slice(before);
      return { heard: () => text(digits()), told: digits };
    },
  },
  "baresip behind Asterisk": {
    number: "2001",
    prepare: async (world) => {
      await world.asterisk();
      const phone = await world.phone("first");
      await phone.keepDigits();
      const wire = await world.telephoneEvents();
      const before = wire.digits(phone.rtpPorts).length;
      return {
        heard: () => phone.digits(),
        told: () => wire.digits(phone.rtpPorts).slice(before),
      };
    },
  },
  linphone: {
    number: "5001",
    prepare: async (world) => {
      const phone = await world.linphone();
      const wire = await world.telephoneEvents();
      const before = [phone.digits().length, wire.digits(phone.rtpPorts).length];
      return {
        heard: () => phone.digits().slice(before[0]),
        told: () => wire.digits(phone.rtpPorts).slice(before[1]),
      };
    },
  },
};

async function gateway(world) {
  await world.gateway({
    trunks: [
      trunks.asterisk(),
      // Its RTP comes from the first address of its machine.
      trunks.phone({ target: `sip:${addresses.linphone}:5060;transport=udp`, accept_from: [`${addresses.asterisk}/32`], rtp: { sources: "any" } }),
    ],
    routes: [routes.asterisk, { match: "^5\\d+$", trunk: "phone" }],
  });
}

for (const browser of ["chromium", "firefox"]) {
  for (const [name, peer] of Object.entries(peers)) {
    behaviour(`${browser}: every key by insertDTMF and by JSON reaches ${name}, ${PRESSED} ms each`, async (world) => {
      await gateway(world);
      const listening = await peer.prepare(world);
      const page = await world[browser]();
      await page.call(peer.number, 20000);
      await sleep(1000);
      let expected = "";
      for (const [way, press] of Object.entries(ways)) {
        expected += ALL;
        await press(page, ALL);
        await until(() => listening.heard().length >= expected.length, "all keys", 10000).catch(() => {});
        await sleep(DOUBLED);
        const [heard, told] = [listening.heard(), listening.told()];
        assert.equal(heard, expected, `${way}: heard by the peer; on the wire ${text(told)}`);
        assert.equal(text(told), expected, `${way}: told with durations`);
        for (const { digit, duration } of told) {
          assert.ok(Math.abs(duration - PRESSED) <= TOLERANCE, `${way}: ${digit} lasted ${duration} ms of ${JSON.stringify(told)}`);
        }
        const durations = told.slice(-ALL.length).map(({ duration }) => duration);
        console.log(`# ${browser} ${way} ${name}: ${Math.min(...durations)} to ${Math.max(...durations)} ms`);
      }
      await page.hangUp();
      await page.ended();
    });
  }
}
