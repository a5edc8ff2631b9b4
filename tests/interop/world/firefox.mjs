// Headless Firefox ESR with its own fake microphone (a tone), by puppeteer-core over WebDriver BiDi.

import puppeteer from "puppeteer-core";
import { Page, onlyCodecs } from "./page.mjs";

/** What Firefox's fake microphone plays, in Hz. */
export const FIREFOX_TONE = 440;

/** @param {object} options url of the page; codecs: the only ones of this browser */
export async function openFirefox({ url, codecs }) {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.INTEROP_FIREFOX ?? "/usr/bin/firefox-esr",
    headless: true,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.navigator.audio.fake_frequency": FIREFOX_TONE,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.autoplay.default": 0,
      "media.autoplay.blocking_policy": 0,
      // The page is not at localhost in these namespaces, and getUserMedia wants a secure place.
      "dom.securecontext.allowlist": new URL(url).hostname,
      "media.devices.insecure.enabled": true,
      "media.getusermedia.insecure.enabled": true,
      // Without a sound card an AudioContext never runs: this is Firefox's own stand-in for one.
      "media.cubeb.force_mock_context": true,
      "network.proxy.type": 0,
      "app.update.enabled": false,
    },
  });
  const tab = await browser.newPage();
  const page = new Page("Firefox", tab, () => browser.close());
  try {
    if (codecs) await tab.evaluateOnNewDocument(onlyCodecs, codecs);
    await tab.goto(url);
  } catch (error) {
    await page.close();
    throw error;
  }
  return page;
}
