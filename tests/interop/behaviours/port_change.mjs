// The browser's UDP port changes in mid-call, as when a NAT forgets its mapping. Chromium checks a
// working path every 2.5 s only; it must be heard, and hear, long before.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { behaviour } from "../world/behaviour.mjs";
import { addresses, run } from "../world/network.mjs";
import { Process, sleep } from "../world/process.mjs";
import { wav } from "../world/recording.mjs";

const LIMIT_MILLISECONDS = 1000;
/** What the page's microphone plays, Hz: 22 periods in one RTP packet of 20 ms. */
const PAGE_TONE = 1100;

/** A second of a sine, 48 kHz linear, that can be repeated without a seam. */
function sine(frequency) {
  const rate = 48000;
  const samples = Buffer.alloc(2 * rate);
  for (let n = 0; n < rate; n += 1) {
    samples.writeInt16LE(Math.round(8000 * Math.sin((2 * Math.PI * frequency * n) / rate)), 2 * n);
  }
  return wav(rate, samples);
}

/** Where the browser seems to be, one after the other: at three places between Chromium's checks. */
const PORTS = [60001, 60002, 60003];
const BETWEEN_MOVES_MILLISECONDS = 3100;

/** Moves the browser's port, once more if need be; nothing that is sent elsewhere arrives any more. */
function moveTo(network, localPort, port) {
  const filter = (rules) => run("ip", "netns", "exec", network.browser, "nft", rules);
  const forgotten = [localPort, ...PORTS].filter((one) => one !== port);
  // In one step, and before the rule that gives what arrives its true port again.
  filter(`
    table inet forgotten
    delete table inet forgotten
    table inet forgotten {
      chain arriving {
        type filter hook prerouting priority -400
        udp dport { ${forgotten.join(", ")} } drop
      }
    }`);
  if (port !== PORTS[0]) filter("delete table inet moved");
  network.moveBrowserPort(localPort, port);
}

// Runs at the PBX: looks at every PCMU packet of 20 ms that the gateway sends, and says at its end how
// many held the tone and the longest time in ms without one. Asterisk's own recordings leave out
// what did not come.
const LISTENER = `
import math, signal, socket, sys, time
source, frequency = socket.inet_aton(sys.argv[1]), float(sys.argv[2])
def linear(code):
    code = ~code & 0xff
    value = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return -value if code & 0x80 else value
table = [linear(code) for code in range(256)]
angles = [2 * math.pi * frequency * n / 8000 for n in range(160)]
wave = [(math.cos(angle), math.sin(angle)) for angle in angles]
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
count, last, longest = 0, 0, 0
def end(*_):
    print("heard", count, round(max(longest, time.monotonic() - last) * 1000), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("listening", flush=True)
while True:
    packet = packets.recv(2048)
    now = time.monotonic()
    rtp = packet[(packet[0] & 15) * 4 + 8:]
    if packet[9] != 17 or packet[12:16] != source or len(rtp) != 172 or rtp[0] != 0x80 or rtp[1] & 127 != 0:
        continue
    samples = [table[code] for code in rtp[12:]]
    energy = sum(sample * sample for sample in samples)
    cosine = sum(sample * one[0] for sample, one in zip(samples, wave))
    sine = sum(sample * one[1] for sample, one in zip(samples, wave))
    if energy < 160 * 500 ** 2 or (cosine ** 2 + sine ** 2) * 2 / 160 < 0.5 * energy:
        continue
    if count > 0:
        longest = max(longest, now - last)
    count, last = count + 1, now
`;

/** Listens at the PBX for the page's tone while `during` runs: { packets, longest silence in ms }. */
async function atThePbx(world, during) {
  const { network, audio, place } = world;
  const listener = new Process(
    network.inside(network.pbx, audio.python, "-c", LISTENER, addresses.gateway, String(PAGE_TONE)),
    { log: join(place.logs, "listener.log") });
  try {
    await listener.says(/listening/);
    await during();
  } finally {
    await listener.stop();
  }
  const [, packets, silence] = /heard (\d+) (\d+)/.exec(listener.output) ?? [];
  assert.ok(packets, listener.output);
  return { packets: Number(packets), silence: Number(silence) };
}

/** The same for the far end's tone in the page: what an ear hears, not what the network brings. */
async function inThePage(page, during) {
  await page.evaluate(async () => {
    const context = new AudioContext();
    await context.resume();
    const { track } = globalThis.trunkline.phone.peerConnection.getReceivers()[0];
    const ear = new AnalyserNode(context, { fftSize: 512 });
    context.createMediaStreamSource(new MediaStream([track])).connect(ear);
    const samples = new Float32Array(ear.fftSize);
    const watch = { longest: 0, last: performance.now(), heard: 0, context };
    watch.timer = setInterval(() => {
      ear.getFloatTimeDomainData(samples);
      const now = performance.now();
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      watch.longest = Math.max(watch.longest, now - watch.last);
      if (power > 0.01) {
        watch.last = now;
        watch.heard += 1;
      }
    }, 10);
    globalThis.earWatch = watch;
  });
  await during();
  return page.evaluate(() => {
    const watch = globalThis.earWatch;
    clearInterval(watch.timer);
    watch.context.close();
    return { looks: watch.heard, silence: Math.round(watch.longest) };
  });
}

behaviour("a browser that changes its port in mid-call is heard, and hears, within a second", async (world) => {
  const folder = mkdtempSync(join(tmpdir(), "trunkline-tone-"));
  try {
    const microphone = join(folder, "tone.wav");
    writeFileSync(microphone, sine(PAGE_TONE));
    await world.asterisk();
    const page = await world.chromium({ microphone });
    // The milliwatt comes while the page's own tone goes.
    await page.call("601");
    await sleep(3000);
    const { localPort } = await page.statistics();
    assert.ok(localPort > 0 && !PORTS.includes(localPort), `no local port in the statistics: ${localPort}`);
    let ear;
    let packets;
    const pbx = await atThePbx(world, async () => {
      ear = await inThePage(page, async () => {
        packets = await page.longestSilence(async () => {
          await sleep(500);
          for (const port of PORTS) {
            moveTo(world.network, localPort, port);
            await sleep(BETWEEN_MOVES_MILLISECONDS);
          }
        });
      });
    });
    console.log(`# silence: ${pbx.silence} ms of the page's tone at the PBX (${pbx.packets} packets), `
      + `${ear.silence} ms of the PBX's tone in the page's ear, ${Math.round(packets)} ms without a packet there`);
    assert.ok(pbx.packets > 300 && ear.looks > 300, JSON.stringify({ pbx, ear }));
    for (const silence of [pbx.silence, ear.silence, packets]) {
      assert.ok(silence < LIMIT_MILLISECONDS, `${silence} ms of silence`);
    }
    const tone = await page.measure(1);
    assert.ok(Math.abs(tone.frequency - 1004) < 3, JSON.stringify(tone));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
