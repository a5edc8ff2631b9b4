// Speech both ways at once, judged at both ends.

import assert from "node:assert/strict";
import { join } from "node:path";

/** What each end hears of the other has to score this, by PESQ. */
const WANTED_MOS = 4.0;
const LEVEL_LIMIT_DB = 1;
/** Their mean counts: one pass scores by some tenths otherwise than the next, by where it is cut. */
const PASSES = 2;

/**
 * The page, in a call of 614, speaks and listens for two passes of the speech and hangs up.
 * @returns {Promise<object>} statistics of the page's audio while it listened
 */
export async function speakAndListen(world, pbx, page) {
  // The beginning of a recording is not judged.
  const listened = await page.record(PASSES * world.audio.seconds + 0.6, join(world.place.logs, "page.wav"));
  const statistics = await page.statistics();
  await page.hangUp();
  const there = await world.audio.pesq(await pbx.recording());
  const here = await world.audio.pesq(listened);
  const scores = ({ passes }) => passes.map(({ mos }) => mos).join(" ");
  console.log(`# PESQ by pass: at Asterisk ${scores(there)}, in the page ${scores(here)}`);
  for (const [where, heard] of [["at Asterisk", there], ["in the page", here]]) {
    assert.ok(heard.mos >= WANTED_MOS, `${where}: ${JSON.stringify(heard)}`);
    // PESQ does not mind how loud it is.
    assert.ok(heard.passes.every(({ gain_db: gain }) => Math.abs(gain) < LEVEL_LIMIT_DB), `${where}: ${JSON.stringify(heard)}`);
  }
  await pbx.allCallsEnded();
  return statistics;
}
