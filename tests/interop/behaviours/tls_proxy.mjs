// The examples of config/ for a TLS proxy before the gateway, run by the real proxies.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { behaviour } from "../world/behaviour.mjs";
import { addresses, run } from "../world/network.mjs";
import { until } from "../world/process.mjs";
import { wav } from "../world/recording.mjs";
import { NAME, TlsProxy } from "../world/tls_proxy.mjs";

/** A second client of the browser's network. */
const OTHER_CLIENT = "10.77.1.3";
/** In Hz: nothing else plays it. */
const OWN_TONE = 730;
const SOCKETS_PER_ADDRESS = 3;

/** One second of a tone, which a microphone plays in a loop. */
function toneFile(world) {
  const path = join(world.place.logs, "tone.wav");
  const samples = Int16Array.from({ length: 48000 }, (_, at) => Math.round(12000 * Math.sin((2 * Math.PI * OWN_TONE * at) / 48000)));
  writeFileSync(path, wav(48000, Buffer.from(samples.buffer)));
  return path;
}

for (const kind of ["nginx", "caddy"]) {
  let proxy;
  let gateway;

  behaviour(`${kind}: a page of https calls echo over wss and hears its own tone`, async (world) => {
    proxy = new TlsProxy(world.place, kind);
    gateway = await world.gateway({ text: proxy.configuration(`max_sockets_per_address = ${SOCKETS_PER_ADDRESS}`) });
    await world.proxy(proxy);
    const page = await world.chromium({ ...proxy.chromium, microphone: toneFile(world) });
    assert.ok(await page.evaluate(() => isSecureContext && trunkline.phone.signaling.state !== "refused"));
    await page.signedIn();
    await page.call("echo");
    await until(async () => {
      const heard = await page.measure(1);
      return Math.abs(heard.frequency - OWN_TONE) < 3;
    }, `the page hears its tone of ${OWN_TONE} Hz`, 15000);
    const { pair } = await page.statistics();
    assert.ok(pair, "media has a candidate pair of its own, beside the proxy");
    await page.hangUp();
    assert.equal((await page.ended()).reason, "hangup-local");
    assert.match(gateway.process.output, new RegExp(`call started.*${addresses.browser.replaceAll(".", "\\.")}`), "the log has the client's address");
  });

  behaviour(`${kind}: the page is served; metrics and health only to the machine itself`, async () => {
    const page = await proxy.ask("/");
    assert.equal(page.status, 200);
    assert.match(page.body, /<title>Trunkline phone<\/title>/);
    for (const path of ["/metrics", "/health"]) {
      for (const asked of [path, `${path}?x=1`]) assert.equal((await proxy.ask(asked)).status, 404, asked);
      assert.equal((await gateway.fetch(path)).status, 200, path);
    }
  });

  behaviour(`${kind}: a request for another Host does not reach the page or its door`, async () => {
    for (const host of ["other.example", `other.${NAME}`, `${NAME}.other.example`]) {
      const { status, body } = await proxy.ask("/", { host });
      const door = await proxy.open({ host, origin: `https://${host}` });
      assert.doesNotMatch(body, /Trunkline phone/, host);
      if (kind === "nginx") assert.deepEqual([status, door.status], [421, 421], host);
      // Caddy itself serves no other name than that of its site, and answers such a request with nothing.
      else assert.deepEqual([status, door.status, body], [200, 200, ""], host);
    }
  });

  behaviour(`${kind}: the door opens for the page's own origin only`, async () => {
    for (const origin of [`http://${NAME}`, "https://other.example", `https://${NAME}.other.example`, `https://${NAME}:8443`, "null"]) {
      assert.equal((await proxy.open({ origin })).status, 403, origin);
    }
    const own = await proxy.open();
    assert.equal(own.status, 101);
    own.socket.destroy();
  });

  behaviour(`${kind}: what a client writes of its address counts for nothing, and two clients are two addresses`, async (world) => {
    if (kind === "nginx") run("ip", "-n", world.network.browser, "address", "add", `${OTHER_CLIENT}/24`, "dev", "to-gateway");
    await until(async () => (await gateway.metric("trunkline_sockets_open")) === 0, "no page is connected");
    const forged = (at) => ({
      "X-Forwarded-For": `198.51.100.${at}`, Forwarded: `for=198.51.100.${at};proto=https`, "X-Real-IP": `198.51.100.${at}`,
    });
    const opened = [];
    for (let at = 1; at <= SOCKETS_PER_ADDRESS; at += 1) opened.push(await proxy.open({ headers: forged(at) }));
    assert.deepEqual(opened.map(({ status }) => status), opened.map(() => 101));
    for (const headers of [{}, forged(9), { "X-Forwarded-For": "198.51.100.1, 127.0.0.1" }, { Forwarded: "for=127.0.0.1" }]) {
      assert.equal((await proxy.open({ headers })).status, 503, JSON.stringify(headers));
    }
    await until(() => /WARN.*10\.77\.1\.2\b/.test(gateway.process.output), "the log names the client that met the limit");
    assert.doesNotMatch(gateway.process.output, /198\.51\.100\./);
    // The forged scheme does not open the door either.
    assert.equal((await proxy.open({ origin: `http://${NAME}`, from: OTHER_CLIENT, headers: { "X-Forwarded-Proto": "http", Forwarded: "proto=http" } })).status, 403);
    const other = await proxy.open({ from: OTHER_CLIENT, headers: { "X-Forwarded-For": addresses.browser } });
    assert.equal(other.status, 101);
    for (const { socket } of [...opened, other]) socket.destroy();
    await until(async () => (await gateway.metric("trunkline_sockets_open")) === 0, "the gateway has seen them go");
    await world.stopProxy();
    await world.stopGateway();
  });
}
