// The PBX that has our call dies before it lets anybody ring: the next one rings, within 2 s of the
// failure being seen. By TCP the failure is the end of the connection; by UDP it is a probe that
// the dead one's machine refuses. The places come from the configuration or from NAPTR and SRV records.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

eachItsOwnGateway();

const PROMISED_MILLISECONDS = 2000;
/** The probe begins a second after the 100; one that nobody refuses is waited for 4 seconds more. */
const SEEN_MILLISECONDS = 2500;
const NUMBER = "690";
const DOMAIN = "pbx.test";
const accepted = { accept_from: [`${addresses.asterisk}/32`, `${addresses.second}/32`] };

const records = [
  `host-record=a.${DOMAIN},${addresses.asterisk}`, `host-record=b.${DOMAIN},${addresses.second}`,
  `srv-host=_sip._tcp.${DOMAIN},a.${DOMAIN},5060,1,10`, `srv-host=_sip._tcp.${DOMAIN},b.${DOMAIN},5060,2,10`,
  `naptr-record=${DOMAIN},10,50,s,SIP+D2T,,_sip._tcp.${DOMAIN}`,
  `srv-host=_sip._udp.${DOMAIN},a.${DOMAIN},5060,1,10`, `srv-host=_sip._udp.${DOMAIN},b.${DOMAIN},5060,2,10`,
];

/** The first Asterisk says nothing after its 100, the second one rings and answers. */
async function pbxs(world) {
  const [first, second] = await Promise.all([world.asterisk(), world.secondAsterisk()]);
  const say = (pbx, steps) => steps.forEach((step, at) => pbx.command(`dialplan add extension ${NUMBER},${at + 1},${step} into from-gateway replace`));
  say(first, ["Wait,600"]);
  say(second, ["Ringing", "Wait,2", "Answer", "Milliwatt"]);
  return { first, second };
}

/** When the gateway's log said that, in ms. */
function said(gateway, pattern) {
  const line = gateway.process.output.split("\n").find((one) => pattern.test(one));
  assert.ok(line, `the gateway's log has ${pattern}`);
  return Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line)[0]);
}

/** Calls, kills the first Asterisk by its id, and gives the times of what follows. */
async function killInMidInvite(world, gateway, { first, second }, seen) {
  const page = await world.chromium();
  // The first probes are asked within 2 s of the start.
  await sleep(2500);
  await page.dial(NUMBER);
  await until(() => first.activeCalls() === 1, "the first PBX has the call", 5000, 20);
  assert.equal(await page.state(), "calling");
  assert.equal(second.activeCalls(), 0);
  const killed = Date.now();
  assert.ok(first.process.child.kill("SIGKILL"));
  await page.inState("ringing", 15000);
  const rang = Date.now();
  const failed = said(gateway, seen);
  console.log(`# failure seen ${failed - killed} ms after the death, next ringing ${rang - failed} ms after that`);
  assert.ok(failed >= killed, "the failure is that of the death");
  assert.ok(failed - killed < SEEN_MILLISECONDS, `${failed - killed} ms`);
  assert.ok(rang - failed < PROMISED_MILLISECONDS, `${rang - failed} ms`);
  await page.inState("in-call");
  await until(async () => {
    const tone = await page.measure(0.5);
    return Math.abs(tone.frequency - 1004) < 3 && tone.level_dbfs > -30;
  }, "the second PBX is heard", 5000);
  await page.hangUp();
  await second.allCallsEnded();
  await world.stopAsterisk();
}

// The second PBX shares the machine of the first: its RTP leaves from the first one's address, which
// neither its SDP nor its SIP names, and is heard all the same (rtp.sources, by default).
for (const [transport, seen] of [["tcp", /sip connection ended.*10\.77\.2\.2:5060/], ["udp", /sip target changed.*10\.77\.2\.2:5060.*is_up=false/]]) {
  behaviour(`targets by ${transport}: the first is killed in mid-INVITE, the second rings`, async (world) => {
    const both = await pbxs(world);
    const target = (address, priority) => ({ target: `sip:${address}:5060;transport=${transport}`, priority });
    const { target: _, ...trunk } = trunks.asterisk({ ...accepted, try_timeout: 1 });
    const targets = [target(addresses.asterisk, 1), target(addresses.second, 2)];
    const gateway = await world.gateway({ trunks: [{ ...trunk, targets }], routes: [routes.asterisk] });
    await killInMidInvite(world, gateway, both, seen);
  });
}

behaviour("a name with NAPTR and SRV records: its first host is killed in mid-INVITE, its second rings", async (world) => {
  const both = await pbxs(world);
  const names = await world.nameServer(records);
  const gateway = await world.gateway({
    trunks: [trunks.asterisk({ ...accepted, target: `sip:${DOMAIN}` })], routes: [routes.asterisk],
    more: { sip: { dns_servers: [names.address] } },
  });
  await killInMidInvite(world, gateway, both, /sip connection ended.*10\.77\.2\.2:5060/);
  const asked = names.questions();
  for (const question of [`NAPTR ${DOMAIN}`, `SRV _sip._tcp.${DOMAIN}`, `A a.${DOMAIN}`, `A b.${DOMAIN}`]) {
    assert.ok(asked.includes(question), `${question} among ${asked.join(", ")}`);
  }
});

behaviour("a name with two addresses by udp: the dead one is left out of the order and comes back", async (world) => {
  const both = await pbxs(world);
  const names = await world.nameServer(records);
  const gateway = await world.gateway({
    trunks: [trunks.asterisk({ ...accepted, target: `sip:${DOMAIN};transport=udp`, try_timeout: 1 })],
    routes: [routes.asterisk], more: { sip: { dns_servers: [names.address] } },
  });
  const changed = (state) => new RegExp(`sip address of a target changed.*10\\.77\\.2\\.2:5060.*is_up=${state}`);
  await killInMidInvite(world, gateway, both, changed("false"));
  // The next call begins at the second.
  const movedOn = () => [...gateway.process.output.matchAll(/sip request goes to the next destination/g)].length;
  const before = movedOn();
  assert.ok(before > 0, "the first call went on");
  const page = await world.chromium();
  await page.dial(NUMBER);
  await page.inState("ringing", 5000);
  assert.equal(movedOn(), before);
  await page.hangUp();
  await both.second.allCallsEnded();
  const { first } = await pbxs(world);
  await until(() => changed("true").test(gateway.process.output), "the first answers probes again", 15000);
  await page.dial(NUMBER);
  await until(() => first.activeCalls() === 1, "the first PBX has the call", 5000, 20);
  assert.equal(both.second.activeCalls(), 0);
  await page.hangUp();
  await first.allCallsEnded();
});
