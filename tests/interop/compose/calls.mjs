// Calls through the system of docker-compose.yml, from a browser on the machine that runs it.
// Started by tests/interop/compose/run, with the engine in DOCKER_HOST.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openChromium } from "../world/chromium.mjs";
import { sleep, until } from "../world/process.mjs";

const repository = process.argv[2];
const [command, ...before] = process.env.COMPOSE.split(" ");
const compose = (...rest) => execFileSync(command, [...before, ...rest],
  { cwd: repository, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 30000 });
const asterisk = (text) => compose("exec", "-T", "asterisk", "asterisk", "-rx", text);

const URL = "http://localhost:8080/?processing=off";
/** What the browser's microphone plays, in Hz: neither Asterisk's milliwatt nor any telephone's tone. */
const MICROPHONE_TONE = 730;
const folder = mkdtempSync(join(tmpdir(), "trunkline-compose-"));
const microphone = join(folder, "tone.wav");

/** A WAV of whole periods at 48 kHz, 16 bit, mono, -12 dBFS, which the browser plays in a loop. */
function writeTone(path, frequency) {
  const count = 48000;
  const samples = Buffer.alloc(2 * count);
  for (let index = 0; index < count; index += 1) {
    samples.writeInt16LE(Math.round(8230 * Math.sin((2 * Math.PI * frequency * index) / 48000)), 2 * index);
  }
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(48000, 24);
  header.writeUInt32LE(96000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(samples.length, 40);
  writeFileSync(path, Buffer.concat([header, samples]));
}

async function hears(page, frequency) {
  await sleep(1500);
  const tone = await page.measure(2);
  console.log(`# ${JSON.stringify(tone)}`);
  assert.ok(Math.abs(tone.frequency - frequency) < 5, `expected ${frequency} Hz: ${JSON.stringify(tone)}`);
  assert.ok(tone.level_dbfs > -25, `expected a voice's level: ${JSON.stringify(tone)}`);
}

let passed = 0;
let failed = 0;
async function behaviour(name, trace, { browser = true, user } = {}) {
  const from = Date.now();
  const seconds = () => ((Date.now() - from) / 1000).toFixed(1);
  let page;
  try {
    if (browser) {
      page = await openChromium({ url: URL, microphone });
      if (user) {
        await page.signIn(user.name, user.password);
        await page.signedInAs(user.name);
      } else {
        await page.signedIn();
      }
    }
    await trace(page);
    passed += 1;
    console.log(`ok - ${name} (${seconds()} s)`);
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${name} (${seconds()} s)\n${error.stack}\n--- page\n${page?.diary()}`);
    try { console.log(compose("logs", "--no-color", "--tail", "40")); } catch { /* no engine any more */ }
  } finally {
    await page?.close();
  }
}

async function all() {
  writeTone(microphone, MICROPHONE_TONE);
  const started = Date.now();
  await until(async () => {
    const answer = await fetch("http://localhost:8080/health").catch(() => null);
    return answer?.status === 200;
  }, "the gateway is well", 30000, 200);
  await until(() => {
    try { return /2001\/sip:/.test(asterisk("pjsip show contacts")); } catch { return false; }
  }, "the phone is registered to Asterisk", 60000, 500);
  console.log(`# ready (${((Date.now() - started) / 1000).toFixed(1)} s)`);

  await behaviour("the page calls the phone 2001 through Asterisk and hears its own tone come back", async (page) => {
    await page.call("2001", 20000);
    await hears(page, MICROPHONE_TONE);
    // The whole way: gateway, Asterisk, phone.
    assert.match(asterisk("core show channels concise"), /PJSIP\/2001-.*!Up!/);
    const { pair, inboundCodec } = await page.statistics();
    console.log(`# ${inboundCodec}, round trip ${pair.currentRoundTripTime} s`);
    await page.hangUp();
    await page.ended();
    await until(() => /^0 active channels/m.test(asterisk("core show channels count")), "Asterisk has no channel left", 10000, 500);
  });

  await behaviour("Asterisk's milliwatt is 1004 Hz in the page", async (page) => {
    await page.call("601", 20000);
    await hears(page, 1004);
  });

  await behaviour("the phone calls the page", async (page) => {
    asterisk("channel originate PJSIP/2001 extension web-alice@phones");
    await page.inState("incoming", 20000);
    await page.answer();
    await page.inState("in-call", 20000);
    await hears(page, MICROPHONE_TONE);
    await page.hangUp();
    await page.ended();
  }, { user: { name: "alice", password: "wonderland" } });

  await behaviour("Docker finds the gateway healthy, and it ends well when it is stopped", async () => {
    const container = compose("ps", "-q", "gateway").trim();
    const state = () => JSON.parse(execFileSync("docker", ["inspect", "--format", "{{json .State}}", container], { encoding: "utf8" }));
    await until(() => state().Health.Status === "healthy", "the gateway is healthy", 20000, 500);
    compose("stop", "gateway");
    assert.equal(state().ExitCode, 0);
  }, { browser: false });
}

try {
  await all();
} catch (error) {
  failed += 1;
  console.log(`not ok - docker compose: ${error.stack}`);
  try { console.log(compose("logs", "--no-color", "--tail", "60")); } catch { /* no engine any more */ }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
