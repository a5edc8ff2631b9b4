// Two builds of the gateway side by side, both with the default configuration and HTTP on all
// addresses: from the offer to the first audio, with a real browser, in turns.
//
//   INTEROP_OLD_GATEWAY=path/of/the/old/binary tests/interop/run set_up
//
// Both binaries must be built with the same profile. SET_UP_CALLS: calls of each, 25.
// SET_UP_BROWSER: "chromium", or "firefox", which came to no harm from loopback and must not do so now.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { sleep, until } from "../world/process.mjs";

const CALLS = Number(process.env.SET_UP_CALLS ?? 25);
const BROWSER = process.env.SET_UP_BROWSER ?? "chromium";
const RATIO_LIMIT = BROWSER === "chromium" ? 0.75 : 1.25;

const steps = ["answerSdp", "connected", "firstPacket", "firstAudio"];

function quantile(values, share) {
  return values.toSorted((one, other) => one - other)[Math.floor((values.length - 1) * share)];
}

behaviour(`${BROWSER}: the median from offer to first audio is at most ${RATIO_LIMIT} of the old build's`, async (world) => {
  const builds = [
    { name: "old", binary: process.env.INTEROP_OLD_GATEWAY, port: 8081 },
    { name: "new", port: 8082 },
  ];
  for (const build of builds) {
    const gateway = await world.gatewayByDefault(build);
    build.page = await world[BROWSER]({ url: `${gateway.url}?processing=off` });
    await build.page.signedIn();
    build.calls = [];
  }
  // The first call of each warms the browser up and is not counted.
  for (let round = 0; round <= CALLS; round += 1) {
    for (const build of round % 2 ? builds : builds.toReversed()) {
      await build.page.call("echo");
      const marks = await until(async () => {
        const now = await build.page.marks();
        return now.firstPacket !== undefined && now.connected !== undefined && now;
      }, `${build.name}: audio comes back`, 10000);
      await sleep(300);
      await build.page.hangUp();
      await build.page.ended();
      if (round > 0) build.calls.push(Object.fromEntries(steps.map((step) => [step, marks[step] - marks.offerSent])));
    }
  }
  for (const { name, calls } of builds) {
    const text = steps.map((step) => {
      const times = calls.map((call) => call[step]).filter(Number.isFinite);
      if (times.length === 0) return `${step} -`;
      return `${step} ${quantile(times, 0.5).toFixed(0)} (${quantile(times, 0.1).toFixed(0)} to ${quantile(times, 0.9).toFixed(0)})`;
    });
    console.log(`# ${name}: ${calls.length} calls, medians in ms (10 % to 90 %): ${text.join(", ")}`);
  }
  const [old, present] = builds.map(({ calls }) => quantile(calls.map((call) => call.firstPacket), 0.5));
  const ratio = present / old;
  console.log(`# offer to first audio: new ${present.toFixed(0)} ms / old ${old.toFixed(0)} ms = ${ratio.toFixed(2)}`);
  assert.ok(ratio <= RATIO_LIMIT, `${ratio.toFixed(3)}`);
}, { milliseconds: 400000 });
