// linphone's console phone from Debian bullseye. It answers by itself and says a tone of its own.

import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toneFile } from "./baresip.mjs";
import { addresses } from "./network.mjs";
import { Process, sleep } from "./process.mjs";
import { listening, untilHeard } from "./recording.mjs";

/** What it says, in Hz. */
export const LINPHONE_TONE = 860;

const RTP_PORT = 34000;

export class Linphone {
  /**
   * @param {object} place { roots, id, network, logs }
   * @param {object} options registrar: whom to register at, none where absent;
   *   transport: "udp" or "tcp"; srtp (true: SDES, and nothing without); authority: file of the
   *   one that it trusts, so that it can call by TLS too
   */
  static async start(place, { registrar, user = "5001", transport = "udp", srtp = false, authority } = {}) {
    const phone = new Linphone();
    phone.rtpPorts = [RTP_PORT, RTP_PORT];
    const root = place.roots.bullseye;
    const inside = `/run/trunkline-interop/${place.id}-linphone`;
    phone.outside = join(root, inside);
    phone.user = user;
    phone.address = `${addresses.linphone}:5060`;
    rmSync(phone.outside, { recursive: true, force: true });
    // Without a place for its data base it starts and refuses every call.
    mkdirSync(join(phone.outside, ".local/share/linphone"), { recursive: true });
    writeFileSync(join(phone.outside, "tone.wav"), toneFile(LINPHONE_TONE));
    writeFileSync(join(phone.outside, "linphonerc"), [
      "[sip]", ...(transport === "udp" ? ["sip_port=5060", "sip_tcp_port=0"] : ["sip_port=0", "sip_tcp_port=5060"]), `sip_tls_port=${authority ? 5061 : 0}`,
      `bind_address=${addresses.linphone}`, `contact=sip:${user}@${addresses.linphone}`, "use_ipv6=0", "guess_hostname=0", "auto_net_state_mon=0",
      ...(registrar ? ["default_proxy=0"] : []),
      ...(srtp ? ["media_encryption=srtp", "media_encryption_mandatory=1"] : []),
      // It is called by address: the certificate bears that too, which this version does not look for.
      ...(authority ? [`root_ca=${inside}/ca.pem`, "verify_server_certs=1", "verify_server_cn=0"] : []),
      "[rtp]", `audio_rtp_port=${RTP_PORT}`,
      // Without a sound card this is what it says.
      "[sound]", `hold_music=${inside}/tone.wav`,
      "[net]", "dns_srv_enabled=0",
      ...["opus", "speex", "speex", "PCMU", "PCMA"].flatMap((mime, index) => [
        `[audio_codec_${index}]`, `mime=${mime}`, `rate=${[48000, 16000, 8000, 8000, 8000][index]}`, "channels=1", `enabled=${mime === "PCMU" ? 1 : 0}`,
      ]),
      ...(registrar ? [
        "[proxy_0]", `reg_proxy=sip:${registrar};transport=${transport}`, `reg_identity=sip:${user}@${registrar}`,
        "reg_expires=120", "reg_sendregister=1", "publish=0",
      ] : []),
    ].join("\n") + "\n");
    if (authority) copyFileSync(authority, join(phone.outside, "ca.pem"));
    phone.process = new Process(
      place.network.inside(place.network.pbx, "chroot", root, "env", `HOME=${inside}`,
        "linphonec", "-a", "-c", `${inside}/linphonerc`),
      { log: join(place.logs, "linphone.log"), input: true });
    await phone.process.says(/linphonec>/);
    phone.process.write("soundcard use files");
    await phone.process.says(/wav files/);
    phone.process.write(`record ${inside}/heard.wav`);
    if (registrar) await phone.process.says(/Registration on .* successful/i);
    await sleep(300);
    return phone;
  }

  /** Waits until it hears that frequency (Hz), in mid-call. */
  hears(frequency) {
    const heard = join(this.outside, "heard.wav");
    return untilHeard(listening(() => (existsSync(heard) ? heard : undefined), frequency), frequency);
  }

  /** The keys that it heard since it started. */
  digits() {
    return [...this.process.output.matchAll(/Receiving tone (.) from/g)].map(([, digit]) => digit).join("");
  }

  call(uri) {
    this.process.write(`call ${uri}`);
  }

  /** Waits until its call of that number is over: before, it places no other. */
  async isFree(call) {
    await this.process.says(new RegExp(`Call ${call} with .* ended`));
  }

  hangUp() {
    this.process.write("terminate");
  }

  async stop() {
    this.process.write("quit");
    await Promise.race([this.process.exit, sleep(2000)]);
    await this.process.stop("SIGKILL");
    rmSync(this.outside, { recursive: true, force: true });
  }
}
