// Runs the test files, each in namespaces of its own, and counts their behaviours. Started by
// tests/interop/run, which makes what it needs. Files that measure the quality of sound or how
// long something takes come last, have the machine to themselves, and wait until nothing else keeps it
// busy; the others run beside each other.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Network } from "./world/network.mjs";
import { sleep } from "./world/process.mjs";
import { quiet } from "./world/quiet.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const repository = join(here, "../..");
const { INTEROP_ROOT: sid, INTEROP_ROOT_BULLSEYE: bullseye, INTEROP_AUDIO: audio } = process.env;
const wanted = process.argv.slice(2);
/** With another gateway beside ours: what compares the two, instead of the tests. */
const folder = join(here, process.env.INTEROP_OLD_GATEWAY ? "comparisons" : "behaviours");
const files = readdirSync(folder).filter((name) => name.endsWith(".mjs"))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word))).sort();

const FILE_LIMIT_MILLISECONDS = 900000;
const BESIDE_EACH_OTHER = Number(process.env.INTEROP_JOBS ?? 3);
/** Files that want the machine to themselves, by what they measure. */
const ALONE = [
  // PESQ
  "asterisk_calls_the_page", "chromium_calls_asterisk", "chromium_opus_trunk", "chromium_pcmu", "equipment", "loss", "srtp_speech",
  // milliseconds
  "digits", "digits_as_tones", "keys_in_full", "port_change", "set_up_time",
];
/**
 * Long and mostly waiting: all of them beside each other, and before the rest. Each begins a browser
 * and a PBX, which is work: some seconds apart.
 */
const WAITING = ["outbound_stun", "pbx_matrix_16_plain", "pbx_matrix_16_secure", "pbx_matrix_22_plain", "pbx_matrix_22_secure", "session_refresh", "session_refreshed_by_asterisk_16", "session_refreshed_by_asterisk_22"];
const LONG_WAIT_SECONDS = 10;
const BEGIN_APART_MILLISECONDS = 3000;
/** The longest of the rest: they begin first, so that none of them is waited for alone. */
const LONG = ["page_truth_in_calls", "page_truth_beside_calls", "srtp_sdes", "in_dialog", "hold_from_the_pbx", "phones_direct", "failover"];

let passed = 0;
let failed = 0;
let count = 0;
/** Rows of the table that the matrix prints. */
const rows = [];
const present = new Set();
let stopping = false;

function clean(run) {
  run.network.remove();
  // Only this run's folders: another run may be going on.
  for (const root of [sid, bullseye]) {
    const folders = join(root, "run/trunkline-interop");
    let names = [];
    try { names = readdirSync(folders); } catch { /* nothing was made there */ }
    for (const name of names.filter((one) => one === run.id || one.startsWith(`${run.id}-`))) {
      rmSync(join(folders, name), { recursive: true, force: true });
    }
  }
  present.delete(run);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    stopping = true;
    for (const run of [...present]) {
      run.child?.kill("SIGKILL");
      clean(run);
    }
    process.exit(130);
  });
}

/** Runs one file. What it says comes at once when `direct`, else when it has ended. */
async function runFile(name, direct) {
  count += 1;
  const id = `trunkline-${process.pid % 100000}-${count}`;
  const logs = join(repository, "target/interop", name.replace(/\.mjs$/, ""));
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  const run = { network: new Network(id), id, child: null };
  present.add(run);
  const started = Date.now();
  const heard = [];
  const say = (text) => (direct ? process.stdout.write(text) : heard.push(text));
  say(`# ${name}\n`);
  let good = 0;
  let bad = 0;
  try {
    run.network.make();
    const child = spawn("ip", ["netns", "exec", run.network.browser, process.execPath, join(folder, name)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, INTEROP_PLACE: JSON.stringify({ repository, root: sid, roots: { sid, bullseye }, audio, id, logs }) },
    });
    run.child = child;
    let rest = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text) => {
      say(text);
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      good += lines.filter((line) => line.startsWith("ok - ")).length;
      bad += lines.filter((line) => line.startsWith("not ok - ")).length;
      rows.push(...lines.filter((line) => line.startsWith("# matrix ")).map((line) => line.slice(9)));
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), FILE_LIMIT_MILLISECONDS);
    const code = await new Promise((resolve) => child.on("close", resolve));
    clearTimeout(timer);
    if (code !== 0 && bad === 0) {
      bad = 1;
      say(`not ok - ${name} ended with ${code}\n`);
    }
  } catch (error) {
    bad += 1;
    say(`not ok - ${name}: ${error.stack}\n`);
  } finally {
    if (!stopping) clean(run);
  }
  // A file that says nothing must not look like one that passes.
  if (good + bad === 0) {
    bad = 1;
    say(`not ok - ${name} ran no behaviour\n`);
  }
  say(`# ${name}: ${((Date.now() - started) / 1000).toFixed(0)} s\n`);
  process.stdout.write(heard.join(""));
  passed += good;
  failed += bad;
}

const among = (list) => (name) => list.includes(name.replace(/\.mjs$/, ""));

if (files.length === 0) {
  failed = 1;
  console.log(`not ok - no test file matches ${wanted.join(" ")}`);
}
const waiting = files.filter(among(WAITING));
await Promise.all(waiting.map(async (name, index) => {
  await sleep(index * BEGIN_APART_MILLISECONDS);
  if (!stopping) await runFile(name, waiting.length === 1);
}));
const others = files.filter((name) => !among(ALONE)(name) && !among(WAITING)(name))
  .sort((one, other) => among(LONG)(other) - among(LONG)(one));
const direct = others.length === 1 || BESIDE_EACH_OTHER === 1;
await Promise.all(Array.from({ length: BESIDE_EACH_OTHER }, async () => {
  while (!stopping && others.length > 0) await runFile(others.shift(), direct);
}));
for (const name of files.filter(among(ALONE))) {
  if (stopping) break;
  const waited = await quiet();
  if (waited > LONG_WAIT_SECONDS) console.log(`# waited ${waited} s for a quiet machine`);
  await runFile(name, true);
}
if (rows.length > 0) console.log(rows.sort().map((row) => `# ${row}`).join("\n"));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
