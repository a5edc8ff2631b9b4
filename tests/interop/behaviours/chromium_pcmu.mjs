// A browser that has no Opus: G.711 passes through unchanged.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { speakAndListen } from "../world/speech.mjs";

behaviour("PCMU on both sides: speech both ways at once scores PESQ 4.0 or more", async (world) => {
  const pbx = await world.asterisk();
  const page = await world.chromium({ codecs: ["audio/PCMU"] });
  await page.call("614");
  const { inboundCodec, outboundCodec } = await speakAndListen(world, pbx, page);
  assert.deepEqual([inboundCodec, outboundCodec], ["audio/PCMU", "audio/PCMU"]);
});
