// Headless Chromium with a microphone that plays a WAV, by playwright-core.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Page, onlyCodecs } from "./page.mjs";

/**
 * @param {object} options url of the page; microphone: WAV that is played in a loop (absent:
 *   Chromium's own beeps); codecs: the only ones of this browser; flags: more of its command line;
 *   insecure: true leaves a page of http: what it is; without: arguments of playwright's own to leave out
 */
export async function openChromium({ url, microphone, codecs, flags = [], insecure = false, without = [] }) {
  const profile = mkdtempSync(join(tmpdir(), "trunkline-chromium-"));
  const origin = new URL(url).origin;
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.INTEROP_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    ignoreDefaultArgs: without,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessChecks,WebRtcHideLocalIpsWithMdns",
      // The page is not at localhost in these namespaces, and getUserMedia wants a secure place.
      ...(insecure ? [] : [`--unsafely-treat-insecure-origin-as-secure=${origin}`]),
      "--autoplay-policy=no-user-gesture-required",
      "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
      ...(microphone ? [`--use-file-for-fake-audio-capture=${microphone}`] : []),
      ...flags,
    ],
  });
  const tab = context.pages()[0] ?? await context.newPage();
  const page = new Page("Chromium", tab, async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  try {
    if (codecs) await tab.addInitScript(onlyCodecs, codecs);
    await load(tab, url);
  } catch (error) {
    await page.close();
    throw error;
  }
  return page;
}

/**
 * Opens the page. Chromium drops what it is loading when its network changes, and a namespace that was
 * made a moment ago may still change: the page is loaded again then, twice at most.
 */
async function load(tab, url) {
  for (let left = 2; ; left -= 1) {
    let isDropped = false;
    const note = (request) => { isDropped ||= request.failure()?.errorText === "net::ERR_NETWORK_CHANGED"; };
    tab.on("requestfailed", note);
    try {
      await tab.goto(url);
    } catch (error) {
      if (!isDropped || left === 0) throw error;
    } finally {
      tab.off("requestfailed", note);
    }
    if (!isDropped || left === 0) return;
  }
}
