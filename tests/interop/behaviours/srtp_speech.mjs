// Speech both ways at once over SRTP whose keys came in SDP.

import assert from "node:assert/strict";
import { behaviour } from "../world/behaviour.mjs";
import { routes, trunks } from "../world/gateway.mjs";
import { addresses } from "../world/network.mjs";
import { speakAndListen } from "../world/speech.mjs";

const SUITE = "AES_CM_128_HMAC_SHA1_80";

behaviour(`required, ${SUITE}: speech both ways at once scores PESQ 4.0 or more`, async (world) => {
  const pbx = await world.asterisk();
  const gateway = await world.gateway({
    sipAddress: addresses.gatewayUnknown,
    trunks: [trunks.asterisk({ from_user: "gateway-srtp", srtp: "required", crypto_suites: [SUITE] })],
    routes: [routes.asterisk],
  });
  const page = await world.chromium();
  await page.call("614");
  const { inboundCodec, outboundCodec } = await speakAndListen(world, pbx, page);
  assert.deepEqual([inboundCodec, outboundCodec], ["audio/opus", "audio/opus"]);
  assert.ok(gateway.process.output.includes(`srtp="${SUITE}"`), `no srtp="${SUITE}" in the gateway's log`);
});
