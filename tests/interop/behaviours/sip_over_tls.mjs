// The trunk by TLS, with a certificate from both ends: out, and in by a connection that Asterisk
// opens.

import { join } from "node:path";
import { behaviour } from "../world/behaviour.mjs";
import { Certificates } from "../world/certificates.mjs";
import { alice, routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { sleep } from "../world/process.mjs";

behaviour("calls by SIP over TLS carry sound both ways and end", async (world) => {
  const certificates = new Certificates(join(world.place.logs, "tls"));
  const own = certificates.sign("gateway.test", addresses.gateway);
  const pbx = await world.asterisk({ certificates });
  await world.gateway({
    trunks: [trunks.asterisk({
      target: `sip:${addresses.asterisk};transport=tls`, tls: { name: "asterisk.test" },
    })],
    routes: [routes.asterisk],
    more: {
      sip: {
        listen: [`udp:${addresses.gateway}:5060`, `tls:${addresses.gateway}:5061`],
        tls: {
          certificate: own.certificate, certificate_key: own.key,
          ca: certificates.authority, client_ca: certificates.authority,
        },
      },
    },
  });
  const page = await world.chromium({ user: alice });
  await page.call("601");
  await sleep(1500);
  await page.hears(1004);
  await page.hangUp();
  await pbx.allCallsEnded();

  pbx.call("web-alice", "601", "gateway-tls");
  await page.inState("incoming");
  await page.answer();
  await page.inState("in-call");
  await sleep(1500);
  await page.hears(1004);
  pbx.hangUpAll();
  await pbx.allCallsEnded();
});
