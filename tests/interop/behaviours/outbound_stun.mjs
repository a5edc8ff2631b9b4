// A registrar that does Outbound (Kamailio) is asked by STUN whether the way to it holds; when that
// moves, or dies, the gateway registers anew by itself, long before its registration runs out.

import assert from "node:assert/strict";
import { behaviour, eachItsOwnGateway } from "../world/behaviour.mjs";
import { addresses, run } from "../world/network.mjs";
import { sleep, until } from "../world/process.mjs";

eachItsOwnGateway();

/** Of a registration that lasts an hour: nothing here is a refresh. */
const trunk = {
  name: "registrar", target: `sip:${addresses.kamailio}:5060;transport=udp`, codecs: ["PCMU"],
  username: "1001", password: "correct horse", register: true, registration: { expires: 3600 },
};

/** Where nft finds the first bytes behind the header of UDP. */
const PAYLOAD = "@th,64,16";
const BINDING_REQUEST = "0x0001";
const BINDING_SUCCESS = "0x0101";
const LINE_ENDS = "0x0d0a";

/** Counts what passes at the registrar. */
class Watch {
  constructor(network) {
    this.network = network;
    this.#filter(`
      table inet watch {
        counter asked {}
        counter answered {}
        counter line_ends {}
        chain arriving {
          type filter hook input priority -10
          udp dport 5060 ${PAYLOAD} ${BINDING_REQUEST} counter name asked
          udp dport 5060 ${PAYLOAD} ${LINE_ENDS} counter name line_ends
        }
        chain leaving {
          type filter hook output priority 10
          udp sport 5060 ${PAYLOAD} ${BINDING_SUCCESS} counter name answered
        }
      }`);
  }

  #filter(rules) {
    return run("ip", "netns", "exec", this.network.pbx, "nft", rules);
  }

  packets(counter) {
    return Number(/packets (\d+)/.exec(this.#filter(`list counter inet watch ${counter}`))[1]);
  }

  /** Requests that got no answer. */
  unanswered() {
    return this.packets("asked") - this.packets("answered");
  }

  /** From now on the registrar hears no STUN. */
  deafen() {
    this.#filter(`
      table inet deaf {
        chain arriving {
          type filter hook input priority 0
          udp dport 5060 ${PAYLOAD} ${BINDING_REQUEST} drop
        }
      }`);
  }

  stop() {
    for (const table of ["watch", "deaf"]) {
      try { this.#filter(`delete table inet ${table}`); } catch { /* was not made */ }
    }
  }
}

/** Registered, and the way checked a few times: { registrar, gateway, watch, registers }. */
async function checked(world) {
  const registrar = await world.kamailio({ configuration: "registrar.cfg" });
  const watch = new Watch(world.network);
  const earlier = registrar.relayed("register").length;
  // One that is sent again, because the machine is slow to answer, has the same CSeq.
  const registers = () => {
    const numbers = new Set();
    return registrar.relayed("register").slice(earlier).filter((line) => {
      const number = /cseq (\d+)$/.exec(line.trim())?.[1];
      const isNew = !numbers.has(number);
      numbers.add(number);
      return isNew;
    });
  };
  const gateway = await world.gateway({ trunks: [trunk], routes: [] });
  await until(() => registers().length === 1, "a REGISTER", 5000);
  // 2.4 to 3 seconds apart, by the registrar's Flow-Timer.
  await until(() => watch.packets("answered") >= 3, "three answers to STUN", 15000, 200);
  assert.equal(registers().length, 1, registers().join("\n"));
  assert.equal(watch.packets("line_ends"), 0);
  assert.match(registers()[0], new RegExp(`^${addresses.gateway}:5060 `));
  return { registrar, gateway, watch, registers };
}

behaviour("a way that moves to another port is found by STUN and registered anew at once", async (world) => {
  const { gateway, watch, registers } = await checked(world);
  try {
    world.network.moveGatewayPort(5060, 40001);
    await until(() => registers().length === 2, "a REGISTER from the new port", 5000);
    const [, again] = registers();
    assert.match(again, new RegExp(`^${addresses.gateway}:40001 .*sip:1001[^@]*@${addresses.gateway}:40001[;>]`));
    assert.equal(await gateway.metric('trunkline_sip_flow_failures_total{reason="moved"}'), 1);
    // There it holds.
    const before = watch.packets("answered");
    await until(() => watch.packets("answered") >= before + 3, "three more answers", 15000, 200);
    assert.equal(registers().length, 2, registers().join("\n"));
    assert.equal(watch.packets("line_ends"), 0);
  } finally {
    world.network.restoreGatewayPort();
    watch.stop();
  }
});

behaviour("a way on which STUN dies is registered anew once, and kept open by line ends when it stays so", async (world) => {
  const { gateway, watch, registers } = await checked(world);
  try {
    watch.deafen();
    // 39.5 s after the first request without an answer.
    await until(() => registers().length === 2, "a REGISTER", 46000, 200);
    // Requests that come before the rule drops them are answered, and those of the new flow may have
    // begun before this counts: neither moment is the test's to choose.
    assert.ok(watch.unanswered() >= 7, `${watch.unanswered()} requests without an answer`);
    assert.equal(await gateway.metric('trunkline_sip_flow_failures_total{reason="silent"}'), 1);
    assert.equal(watch.packets("line_ends"), 0);
    await until(() => watch.packets("line_ends") >= 2, "line ends", 50000, 200);
    assert.equal(await gateway.metric("trunkline_sip_without_stun_total"), 1);
    assert.equal(await gateway.metric("trunkline_sip_flow_failures_total"), 1);
    await sleep(3500);
    assert.equal(registers().length, 2, registers().join("\n"));
    // Seven transmissions (RFC 8489 section 6.2.1) on each of the two flows, and no more.
    assert.equal(watch.unanswered(), 14);
  } finally {
    watch.stop();
  }
}, { milliseconds: 150000 });
