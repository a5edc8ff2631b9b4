// sipp in the PBX's namespace, for the protocol traces that a PBX does not make on command.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { addresses, run } from "./network.mjs";
import { Process, until } from "./process.mjs";

/** As PCMU octets: one second of a tone at -12 dBFS. Whole numbers of Hz go round without a click. */
function toneOctets(hertz) {
  const octet = (sample) => {
    const magnitude = Math.min(Math.abs(sample), 32635) + 132;
    const exponent = Math.floor(Math.log2(magnitude)) - 7;
    const mantissa = (magnitude >> (exponent + 3)) & 15;
    return ~((sample < 0 ? 128 : 0) | (exponent << 4) | mantissa) & 255;
  };
  return Buffer.from(Array.from({ length: 8000 }, (_, at) => octet(Math.round(8192 * Math.sin((2 * Math.PI * hertz * at) / 8000)))));
}

function readErrors(folder, scenario) {
  const file = join(folder, `${scenario}.errors`);
  return existsSync(file) ? readFileSync(file, "utf8").slice(0, 3000) : "";
}

/**
 * Runs one scenario for one call.
 * @param {object} place { repository, root, id, network, logs }
 * @param {string | import("./scenario.mjs").Scenario} told the steps, or the name of a file of
 *   tests/interop/sipp without .xml
 * @param {object} options to: "address:port" of the far end (absent: sipp waits for a call),
 *   service: number to dial, media: file of PCMU octets, milliseconds: length of <pause/>,
 *   port: own SIP port, echo: sends back the RTP it gets, transport: "u1" or "t1",
 *   address: of the PBX's namespace, tone: Hz of what is played instead of media
 *   credentials: { user, password } that answer a challenge
 * @returns {Process} with `waits()`: it can be called, and `succeeds()`: it went to its end
 */
export function sipp(place, told, { to, service = "600", media, milliseconds = 5000, port = 5080, echo = false, transport = "u1", from = "sipp", tone, credentials, address = addresses.sipp } = {}) {
  const scenario = told.name ?? told;
  const inside = `/run/trunkline-interop/${place.id}-sipp`;
  const outside = join(place.root, inside);
  mkdirSync(outside, { recursive: true });
  if (told.xml) writeFileSync(join(outside, `${scenario}.xml`), told.xml);
  else copyFileSync(join(place.repository, `tests/interop/sipp/${scenario}.xml`), join(outside, `${scenario}.xml`));
  if (tone) {
    media = join(place.logs, `${tone}hz.ulaw`);
    writeFileSync(media, toneOctets(tone));
  }
  if (media) copyFileSync(media, join(outside, basename(media)));
  const command = [
    "sipp", "-sf", `${inside}/${scenario}.xml`, "-i", address, "-p", String(port), "-mi", address,
    "-m", "1", "-l", "1", "-d", String(milliseconds), "-s", service, "-t", transport,
    "-key", "from", from, "-nostdin", "-trace_err", "-error_file", `${inside}/${scenario}.errors`,
    "-trace_msg", "-message_file", `${inside}/${scenario}.messages`,
    "-min_rtp_port", "32000", "-max_rtp_port", "32100",
    // A step of a behaviour's own that does not come ends its call, and the behaviour says which.
    ...(told.xml ? ["-recv_timeout", "20000"] : []),
    ...(media ? ["-key", "media", `${inside}/${basename(media)}`] : []),
    ...(credentials ? ["-au", credentials.user, "-ap", credentials.password, "-auth_uri", `${service}@${to}`] : []),
    ...(echo ? ["-rtp_echo"] : []),
    ...(to ? [to] : []),
  ];
  const process = new Process(
    place.network.inside(place.network.pbx, "chroot", place.root, ...command),
    { log: join(place.logs, `sipp-${scenario}.log`) });
  // What was said outlives the root's folder.
  process.exit.then(() => {
    const messages = join(outside, `${scenario}.messages`);
    if (existsSync(messages)) copyFileSync(messages, join(place.logs, `sipp-${scenario}.messages`));
  });
  process.waits = () => until(() => run("ip", "netns", "exec", place.network.pbx, "ss", "-Hlun", "src", `${address}:${port}`).trim() !== "",
    `sipp waits for a call at port ${port}`);
  /** Its scenario went to its end, each check held. */
  process.succeeds = async () => {
    const { code } = await process.exit;
    if (code !== 0) throw new Error(`${scenario} of sipp ended with ${code}:\n${readErrors(outside, scenario)}${process.output.slice(-2500)}`);
  };
  return process;
}
