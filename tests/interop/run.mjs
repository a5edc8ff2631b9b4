// Runs the test files, each in namespaces of its own, and counts their behaviours. Started by
// tests/interop/run, which makes what it needs.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Network } from "./world/network.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const repository = join(here, "../..");
const { INTEROP_ROOT: root, INTEROP_AUDIO: audio } = process.env;
const wanted = process.argv.slice(2);
const files = readdirSync(join(here, "behaviours")).filter((name) => name.endsWith(".mjs"))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word))).sort();

const FILE_LIMIT_MILLISECONDS = 480000;
let passed = 0;
let failed = 0;
let present = null;
let stopping = false;

function clean() {
  if (present === null) return;
  present.network.remove();
  // Only this run's folders: another run may be going on.
  for (const folder of ["", "-sipp", "-baresip"]) {
    rmSync(join(root, `run/trunkline-interop/${present.id}${folder}`), { recursive: true, force: true });
  }
  present = null;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    stopping = true;
    present?.child?.kill("SIGKILL");
    clean();
    process.exit(130);
  });
}

async function runFile(name) {
  const id = `trunkline-${process.pid}`;
  const logs = join(repository, "target/interop", name.replace(/\.mjs$/, ""));
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  const network = new Network(id);
  present = { network, id };
  let good = 0;
  let bad = 0;
  try {
    network.make();
    const child = spawn("ip", ["netns", "exec", network.browser, process.execPath, join(here, "behaviours", name)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, INTEROP_PLACE: JSON.stringify({ repository, root, audio, id, logs }) },
    });
    present.child = child;
    let rest = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (text) => {
      process.stdout.write(text);
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      good += lines.filter((line) => line.startsWith("ok - ")).length;
      bad += lines.filter((line) => line.startsWith("not ok - ")).length;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), FILE_LIMIT_MILLISECONDS);
    const code = await new Promise((resolve) => child.on("close", resolve));
    clearTimeout(timer);
    if (code !== 0 && bad === 0) {
      bad = 1;
      console.log(`not ok - ${name} ended with ${code}`);
    }
  } catch (error) {
    bad += 1;
    console.log(`not ok - ${name}: ${error.stack}`);
  } finally {
    clean();
  }
  // A file that says nothing must not look like one that passes.
  if (good + bad === 0) {
    bad = 1;
    console.log(`not ok - ${name} ran no behaviour`);
  }
  passed += good;
  failed += bad;
}

if (files.length === 0) {
  failed = 1;
  console.log(`not ok - no test file matches ${wanted.join(" ")}`);
}
for (const name of files) {
  if (stopping) break;
  console.log(`# ${name}`);
  await runFile(name);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
