// The measuring equipment itself, without the gateway: what it says about a perfect line. If
// this fails, no other result means anything.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { behaviour } from "../world/behaviour.mjs";
import { FIREFOX_TONE } from "../world/firefox.mjs";
import { addresses, run } from "../world/network.mjs";
import { PHONE_TONE } from "../world/baresip.mjs";
import { sleep, until } from "../world/process.mjs";

const asterisk = `${addresses.asterisk}:5060`;

behaviour("sipp's speech, recorded by Asterisk, scores the ceiling of G.711", async (world) => {
  const pbx = await world.asterisk();
  const call = world.sipp("call", { to: asterisk, service: "602", media: world.audio.octets, milliseconds: 11000 });
  assert.deepEqual(await call.exit, { code: 0, signal: null });
  const heard = await world.audio.pesq(await pbx.recording());
  assert.ok(heard.mos > 4.4, JSON.stringify(heard));
});

behaviour("Asterisk answers, refuses and does not know numbers as its dial plan says", async (world) => {
  await world.asterisk();
  for (const [service, status] of [["605", 486], ["606", 603], ["999", 404], ["611", 480]]) {
    const call = world.sipp("refused", { to: asterisk, service });
    await call.exit;
    assert.match(call.output, new RegExp(`refused with ${status}`), `${service}: ${call.output.slice(-1500)}`);
  }
});

behaviour("the phone behind Asterisk says its tone, and is called from there", async (world) => {
  const pbx = await world.asterisk();
  const phone = await world.phone();
  assert.match(pbx.contacts(), /2001\/sip:2001/);
  pbx.command("channel originate PJSIP/2001 extension 602@from-gateway");
  await phone.inCall();
  // For the tests of hold. Nobody reads what the phone says meanwhile: it has to answer all the same.
  spawnSync("sleep", ["4"]);
  phone.command("hold");
  await sleep(500);
  phone.command("resume");
  await sleep(3000);
  pbx.hangUpAll();
  const tone = await world.audio.tone(await pbx.recording());
  assert.ok(Math.abs(tone.frequency - PHONE_TONE) < 2, JSON.stringify(tone));
});

behaviour("Asterisk sends itself every digit once", async (world) => {
  const pbx = await world.asterisk();
  const before = pbx.digits().length;
  pbx.command("channel originate PJSIP/603@itself extension 604@from-gateway");
  await until(() => pbx.digits().length >= before + 16, "16 digits", 10000);
  pbx.hangUpAll();
  await pbx.allCallsEnded();
  const heard = pbx.digits().slice(before);
  assert.equal(heard.map(({ digit }) => digit).join(""), "0123456789*#ABCD");
  assert.ok(heard.every(({ duration }) => duration >= 80 && duration <= 260), JSON.stringify(heard));
});

for (const scenario of ["hold_sendonly", "hold_inactive", "hold_address"]) {
  behaviour(`Asterisk is content with the re-INVITEs of ${scenario}`, async (world) => {
    const pbx = await world.asterisk();
    const far = world.sipp(scenario, { milliseconds: 300 });
    await sleep(500);
    pbx.command("channel originate PJSIP/700@sipp extension 600@from-gateway");
    await sleep(3500);
    pbx.hangUpAll();
    assert.deepEqual(await far.exit, { code: 0, signal: null }, far.output.slice(-2000));
  });
}

behaviour("the name server answers what it was told, and nothing else", async (world) => {
  const server = await world.nameServer([
    "host-record=one.pbx.test,10.77.2.2", "srv-host=_sip._udp.pbx.test,one.pbx.test,5060,10,60",
    "naptr-record=pbx.test,10,50,s,SIP+D2U,,_sip._udp.pbx.test",
  ]);
  const asked = run("ip", "netns", "exec", world.network.pbx, process.execPath, "-e", `
    const resolver = new (require("node:dns").promises.Resolver)();
    resolver.setServers([process.argv[1]]);
    Promise.all([
      resolver.resolveNaptr("pbx.test"), resolver.resolveSrv("_sip._udp.pbx.test"), resolver.resolve4("one.pbx.test"),
      resolver.resolve4("two.pbx.test").catch(({ code }) => code),
    ]).then((answers) => console.log(JSON.stringify(answers)));
  `, server.address);
  const [[naptr], [srv], one, two] = JSON.parse(asked);
  assert.equal(naptr.service, "SIP+D2U");
  assert.equal(naptr.replacement, "_sip._udp.pbx.test");
  assert.deepEqual(srv, { name: "one.pbx.test", port: 5060, priority: 10, weight: 60 });
  assert.deepEqual(one, ["10.77.2.2"]);
  assert.match(two, /ENOTFOUND|ENODATA|EREFUSED/);
  await until(() => server.questions().includes("SRV _sip._udp.pbx.test"), "the question is in its log", 3000);
});

async function microphoneOf(world, open) {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>equipment</title>");
  });
  await new Promise((resolve) => server.listen(8099, addresses.browser, resolve));
  try {
    const page = await open({ url: `http://${addresses.browser}:8099/` });
    return await page.evaluate(async () => {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
      const context = new AudioContext();
      await context.resume();
      const analyser = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(stream).connect(analyser);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const bins = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(bins);
      const peak = bins.indexOf(Math.max(...bins));
      return { frequency: (peak * context.sampleRate) / 16384, level: bins[peak], origin: isSecureContext };
    });
  } finally {
    server.close();
  }
}

behaviour("Chromium's microphone plays the speech", async (world) => {
  const heard = await microphoneOf(world, (options) => world.chromium(options));
  assert.ok(heard.level > -80 && heard.frequency > 50 && heard.frequency < 4000, JSON.stringify(heard));
});

behaviour("Firefox's microphone plays its tone", async (world) => {
  const heard = await microphoneOf(world, (options) => world.firefox(options));
  assert.ok(Math.abs(heard.frequency - FIREFOX_TONE) < 5, JSON.stringify(heard));
});
