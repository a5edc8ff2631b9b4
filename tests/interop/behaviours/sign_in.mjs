// Who may use the page.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { until } from "../world/process.mjs";

behaviour("a wrong password is refused, the right one is let in", async (world) => {
  const gateway = await world.gateway({
    trunks: [trunks.asterisk()], routes: [routes.asterisk], more: { sign_in: { anonymous: false } },
  });
  const page = await world.chromium({ url: `${gateway.url}?processing=off` });
  await page.signIn(alice.name, "wrong");
  await until(async () => (await page.connection()) === "refused", "the page is refused");
  await page.signIn(alice.name, alice.password);
  await page.signedIn();
});
