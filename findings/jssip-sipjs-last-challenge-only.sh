#!/bin/bash
# jssip 3.13.8 and sip.js 0.21.2 (npm) and a 401 with two digest challenges (RFC 8760 section 2.4).
#
# A registrar that offers SHA-256 and MD5 sends two WWW-Authenticate headers, the algorithm that it
# prefers first; a client takes the first of them that it supports (RFC 8760 section 2.4). Both clients
# know MD5 alone, so either order should do.
#
# Seen: with MD5 last, both answer the MD5 challenge and are registered. With MD5 first and SHA-256
# last, both send no second REGISTER: their parsers keep one header of that name, the last of the
# message, and its algorithm is not theirs. The registration fails with the status 401.
#
# What a registrar does about it: the strongest challenge first, as RFC 8760 wants it, and MD5 last;
# never a challenge of another realm or algorithm behind it.
#
# Needs Node 20 or later with npm; the clients talk to a registrar in the same process, by no network.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund jssip@3.13.8 sip.js@0.21.2 >/dev/null

cat >registrar.mjs <<'JS'
/** The registrar: answers each REGISTER without credentials with the two challenges in `order`. */
const CHALLENGES = {
  MD5: 'Digest realm="registrar", nonce="5f3c", algorithm=MD5, qop="auth"',
  "SHA-256": 'Digest realm="registrar", nonce="5f3c", algorithm=SHA-256, qop="auth"',
};

export class Registrar {
  constructor(order) {
    this.order = order;
    this.seen = [];
  }

  /** The response to one request, as text. */
  answer(request) {
    const header = (name) => request.match(new RegExp(`^${name}: *(.*)$`, "mi"))?.[1].trim();
    const algorithm = header("Authorization")?.match(/algorithm="?([\w-]+)/i)?.[1];
    this.seen.push(algorithm ?? "none");
    const lines = [
      algorithm ? "SIP/2.0 200 OK" : "SIP/2.0 401 Unauthorized",
      `Via: ${header("Via")}`,
      `From: ${header("From")}`,
      `To: ${header("To")};tag=registrar`,
      `Call-ID: ${header("Call-ID")}`,
      `CSeq: ${header("CSeq")}`,
    ];
    if (algorithm) lines.push(`Contact: ${header("Contact")};expires=600`);
    else lines.push(...this.order.map((name) => `WWW-Authenticate: ${CHALLENGES[name]}`));
    return [...lines, "Content-Length: 0", "", ""].join("\r\n");
  }
}
JS

cat >jssip.mjs <<'JS'
import JsSIP from "jssip";
import { Registrar } from "./registrar.mjs";

const registrar = new Registrar(process.argv.slice(2));
const socket = {
  via_transport: "WS", url: "ws://registrar.example/sip", sip_uri: "sip:registrar.example;transport=ws",
  open: false,
  isConnected() { return this.open; },
  isConnecting() { return false; },
  connect() { this.open = true; setImmediate(() => this.onconnect()); },
  disconnect() { this.open = false; },
  send(text) { setImmediate(() => this.ondata(registrar.answer(text))); return true; },
};
const agent = new JsSIP.UA({ sockets: [socket], uri: "sip:alice@registrar.example", password: "secret", register: true });
const end = (outcome) => { console.log(`${registrar.seen.join(" ")}: ${outcome}`); process.exit(0); };
agent.on("registered", () => end("registered"));
agent.on("registrationFailed", ({ response }) => end(`failed ${response?.status_code}`));
agent.start();
JS

cat >sipjs.mjs <<'JS'
import { createRequire } from "node:module";
import { Registrar } from "./registrar.mjs";
const SIP = createRequire(import.meta.url)("./sipjs.cjs");

const registrar = new Registrar(process.argv.slice(2));
class Transport {
  constructor() { this.state = SIP.TransportState.Disconnected; this.stateChange = new SIP.EmitterImpl(); this.protocol = "WS"; }
  move(state) { this.state = state; this.stateChange.emit(state); }
  async connect() { this.move(SIP.TransportState.Connecting); this.move(SIP.TransportState.Connected); this.onConnect?.(); }
  async disconnect() { this.move(SIP.TransportState.Disconnected); this.onDisconnect?.(); }
  async dispose() {}
  isConnected() { return this.state === SIP.TransportState.Connected; }
  async send(text) { setImmediate(() => this.onMessage?.(registrar.answer(text))); }
}
const agent = new SIP.UserAgent({
  uri: SIP.UserAgent.makeURI("sip:alice@registrar.example"), transportConstructor: Transport,
  authorizationUsername: "alice", authorizationPassword: "secret", logBuiltinEnabled: false,
});
const end = (outcome) => { console.log(`${registrar.seen.join(" ")}: ${outcome}`); process.exit(0); };
await agent.start();
await new SIP.Registerer(agent).register({
  requestDelegate: { onAccept: () => end("registered"), onReject: ({ message }) => end(`failed ${message.statusCode}`) },
});
JS
# sip.js is written as modules whose imports a bundler resolves.
npm install --silent --no-audit --no-fund esbuild@0.25.0 >/dev/null
npx esbuild node_modules/sip.js/lib/index.js --bundle --platform=node --format=cjs --outfile=sipjs.cjs --log-level=error

failed=0
check() {
  local client=$1 expected=$2 seen
  shift 2
  seen=$(timeout 30 node "$client.mjs" "$@" 2>/dev/null | tail -1)
  echo "$client, challenges $*: REGISTER with $seen"
  [ "$seen" = "$expected" ] || { echo "  expected: $expected"; failed=1; }
}
for client in jssip sipjs; do
  check "$client" "none MD5: registered" SHA-256 MD5
  check "$client" "none: failed 401" MD5 SHA-256
done
exit $failed
