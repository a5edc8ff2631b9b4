// What a person sees of the gateway's page and does with it, in Chromium; and whether each state of
// it can be used: axe-core finds nothing at each size and colour scheme, and nothing is cut off.
// Pictures of each state are left in the test's log folder.

import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./process.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const DESKTOP = { width: 1280, height: 800, deviceScaleFactor: 1 };
const PHONE = { width: 390, height: 844, deviceScaleFactor: 2 };
/** Zoom of 200 % on a window of 1280 by 800: half as many CSS pixels, each of four of the screen. */
const ZOOMED = { width: 640, height: 400, deviceScaleFactor: 2 };
const VIEWS = [["desktop", DESKTOP], ["phone", PHONE], ["zoomed", ZOOMED]]
  .flatMap(([name, size]) => ["light", "dark"].map((scheme) => ({ name: `${name}-${scheme}`, size, scheme })));

export class PageView {
  #session;

  /** @param {import("./page.mjs").Page} page in Chromium */
  constructor(place, page) {
    this.place = place;
    this.page = page;
  }

  /** A page in Chromium and what is seen of it: { page, view }. options: of world.chromium */
  static async open(world, options) {
    const page = await world.chromium(options);
    return { page, view: new PageView(world.place, page) };
  }

  /** Waits until the far end is heard with that tone, in Hz. */
  async hears(frequency) {
    await this.page.hears(frequency);
  }

  /** The text of an element, null where it is not shown. */
  text(id) {
    return this.page.evaluate((name) => {
      const element = document.getElementById(name);
      return element?.checkVisibility({ visibilityProperty: true }) ? element.textContent.trim() : null;
    }, id);
  }

  /** Waits until the element is shown with that text. */
  async says(id, pattern, milliseconds = 10000) {
    let last;
    await until(async () => {
      last = await this.text(id);
      return last !== null && pattern.test(last);
    }, `the page's ${id} says ${pattern}`, milliseconds, 100).catch((error) => {
      throw new Error(`${error.message}; it says ${JSON.stringify(last)}`);
    });
  }

  async hides(id, milliseconds = 10000) {
    await until(async () => (await this.text(id)) === null, `the page does not show ${id}`, milliseconds);
  }

  /** A click, as a person can make it: on what is there, visible and enabled. */
  press(id) {
    return this.page.tab.click(`#${id}`, { timeout: 15000 });
  }

  /** Types into a field in place of what is there. */
  fill(id, text) {
    return this.page.tab.fill(`#${id}`, text, { timeout: 15000 });
  }

  /** Keeps every verdict on the call's quality that is shown from now on, for `verdicts`. */
  keepVerdicts() {
    return this.page.evaluate(() => {
      const badge = document.getElementById("verdict");
      globalThis.verdicts = [badge.textContent];
      globalThis.verdictsKept?.disconnect();
      globalThis.verdictsKept = new MutationObserver(() => {
        if (globalThis.verdicts.at(-1) !== badge.textContent) globalThis.verdicts.push(badge.textContent);
      });
      globalThis.verdictsKept.observe(badge, { childList: true, characterData: true, subtree: true });
    });
  }

  verdicts() {
    return this.page.evaluate(() => globalThis.verdicts);
  }

  /** Throws where axe-core finds something or a person would have to scroll sideways, at any size. */
  async isUsable(state) {
    this.#session ??= await this.page.tab.context().newCDPSession(this.page.tab);
    const faults = [];
    for (const { name, size, scheme } of VIEWS) {
      await this.#session.send("Emulation.setDeviceMetricsOverride", { ...size, mobile: false });
      await this.#session.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }] });
      await this.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 50)))));
      const { data } = await this.#session.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
      writeFileSync(join(this.place.logs, `${state}-${name}.png`), Buffer.from(data, "base64"));
      await this.page.tab.evaluate(`globalThis.axe || (() => { ${axe}; })(), 0`);
      // The scheme changes colours only.
      const rules = scheme === "light" ? {} : { runOnly: { type: "rule", values: ["color-contrast"] } };
      const { violations, overflow } = await this.page.evaluate(async (options) => ({
        violations: (await globalThis.axe.run(document, options)).violations
          .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`)),
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      }), rules);
      faults.push(...violations.map((fault) => `${name}: ${fault}`));
      if (overflow > 0) faults.push(`${name}: ${overflow} CSS pixels wider than the window`);
    }
    await this.#session.send("Emulation.setDeviceMetricsOverride", { ...DESKTOP, mobile: false });
    if (faults.length > 0) throw new Error(`the page's state "${state}" is not usable:\n${faults.join("\n")}`);
  }
}
