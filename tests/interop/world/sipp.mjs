// sipp in the PBX's namespace, for the protocol traces that a PBX does not make on command.

import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { addresses } from "./network.mjs";
import { Process } from "./process.mjs";

/**
 * Runs one scenario of tests/interop/sipp for one call.
 * @param {object} place { repository, root, id, network, logs }
 * @param {string} scenario file name without .xml
 * @param {object} options to: "address:port" of the far end (absent: sipp waits for a call),
 *   service: number to dial, media: file of PCMU octets, milliseconds: length of <pause/>,
 *   port: own SIP port, echo: sends back the RTP it gets, transport: "u1" or "t1"
 */
export function sipp(place, scenario, { to, service = "600", media, milliseconds = 5000, port = 5080, echo = false, transport = "u1", from = "sipp" } = {}) {
  const inside = `/run/trunkline-interop/${place.id}-sipp`;
  const outside = join(place.root, inside);
  mkdirSync(outside, { recursive: true });
  copyFileSync(join(place.repository, `tests/interop/sipp/${scenario}.xml`), join(outside, `${scenario}.xml`));
  if (media) copyFileSync(media, join(outside, basename(media)));
  const command = [
    "sipp", "-sf", `${inside}/${scenario}.xml`, "-i", addresses.sipp, "-p", String(port), "-mi", addresses.sipp,
    "-m", "1", "-l", "1", "-d", String(milliseconds), "-s", service, "-t", transport,
    "-key", "from", from, "-nostdin", "-trace_err", "-error_file", `${inside}/${scenario}.errors`,
    "-trace_msg", "-message_file", `${inside}/${scenario}.messages`,
    "-min_rtp_port", "32000", "-max_rtp_port", "32100",
    ...(media ? ["-key", "media", `${inside}/${basename(media)}`] : []),
    ...(echo ? ["-rtp_echo"] : []),
    ...(to ? [to] : []),
  ];
  const process = new Process(
    place.network.inside(place.network.pbx, "chroot", place.root, ...command),
    { log: join(place.logs, `sipp-${scenario}.log`) });
  return process;
}
