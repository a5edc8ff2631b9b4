// A reverse proxy with TLS before the gateway, by the repository's own example for it: of that only
// addresses are other ones, and the certificate is the test's. The commented lines of the example
// that belong into trunkline.toml are the gateway's configuration.

import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { Certificates } from "./certificates.mjs";
import { addresses } from "./network.mjs";
import { Process, until } from "./process.mjs";

/** The name in the examples. */
export const NAME = "phone.example";
/** The gateway's public address in the examples. */
const PUBLIC_ADDRESS = "203.0.113.1";

const kinds = {
  nginx: {
    example: "config/nginx/trunkline.conf",
    files: (text, { certificate, key }, folder) => ({
      "site.conf": text
        .replace(/^(\s*ssl_certificate\s+).*;$/m, `$1${certificate};`)
        .replace(/^(\s*ssl_certificate_key\s+).*;$/m, `$1${key};`),
      // What Debian's nginx.conf is to it.
      "nginx.conf": [
        "daemon off;", "user root;", "error_log stderr info;", `pid ${folder}/pid;`, "events {}", "http {",
        `  access_log ${folder}/access;`,
        ...["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((one) => `  ${one}_temp_path ${folder}/${one};`),
        `  include ${folder}/site.conf;`, "}",
      ].join("\n"),
    }),
    command: (root, folder) => [`${root}/usr/sbin/nginx`, "-e", "stderr", "-c", `${folder}/nginx.conf`],
  },
  caddy: {
    example: "config/caddy/Caddyfile",
    files: (text, { certificate, key }) => ({
      // Without it Caddy asks an authority of the Internet for one.
      Caddyfile: text.replace(`\n${NAME} {\n`, (line) => `${line}\ttls ${certificate} ${key}\n`),
    }),
    command: (root, folder) => [`${root}/usr/bin/caddy`, "run", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`],
  },
};

export class TlsProxy {
  /** @param {"nginx" | "caddy"} kind */
  constructor(place, kind) {
    this.kind = kind;
    this.place = place;
    this.example = readFileSync(join(place.repository, kinds[kind].example), "utf8")
      .replaceAll(PUBLIC_ADDRESS, addresses.gatewayForBrowser);
  }

  /** trunkline.toml as the example's comments have it; more: keys of its [http]. */
  configuration(more = "") {
    const lines = [...this.example.matchAll(/^#   (.*)$/gm)].map(([, line]) => line);
    return `${lines.join("\n").replace("[http]\n", `[http]\n${more}\n`)}\n[log]\nfilter = "info,trunkline=debug"\n`;
  }

  async start() {
    const { place } = this;
    const folder = join(place.logs, this.kind);
    mkdirSync(folder, { recursive: true });
    const certificates = new Certificates(join(place.logs, "certificates"));
    this.authority = readFileSync(certificates.authority);
    const own = certificates.sign(NAME, addresses.gatewayForBrowser);
    this.pin = pinOf(own.certificate);
    const { files, command } = kinds[this.kind];
    for (const [name, text] of Object.entries(files(this.example, own, folder))) writeFileSync(join(folder, name), text);
    this.process = new Process(place.network.inside(place.network.gateway, ...command(process.env.INTEROP_PROXIES, folder)), {
      log: join(place.logs, `${this.kind}.log`), environment: { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    });
    await until(() => {
      if (this.process.ended) throw new Error(`${this.kind} ended:\n${this.process.output.slice(-3000)}`);
      return place.network.listens(place.network.gateway, "0.0.0.0", 443) || place.network.listens(place.network.gateway, "[::]", 443)
        || place.network.listens(place.network.gateway, "*", 443);
    }, `${this.kind} listens`);
  }

  stop() {
    return this.process.stop();
  }

  /** What a browser needs to find the name and to take the certificate. */
  get chromium() {
    return {
      url: `https://${NAME}/?processing=off`,
      flags: [`--host-resolver-rules=MAP ${NAME} ${addresses.gatewayForBrowser}`, `--ignore-certificate-errors-spki-list=${this.pin}`],
    };
  }

  /**
   * One HTTPS request to the proxy: { status, body, socket: of a 101 }.
   * @param {object} options headers; from: the client's address; host
   */
  ask(path, { headers = {}, from = addresses.browser, host = NAME } = {}) {
    return new Promise((resolve, reject) => {
      const asked = request({
        host: addresses.gatewayForBrowser, port: 443, path, localAddress: from, servername: NAME, ca: this.authority,
        agent: false, headers: { Host: host, ...headers },
      });
      asked.on("response", (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text) => { body += text; });
        response.on("end", () => resolve({ status: response.statusCode, body }));
      });
      asked.on("upgrade", (response, socket) => {
        socket.on("error", () => {});
        resolve({ status: response.statusCode, body: "", socket });
      });
      asked.on("error", reject);
      asked.setTimeout(5000, () => asked.destroy(new Error(`no answer to ${path}`)));
      asked.end();
    });
  }

  /** The upgrade that a page's WebSocket begins with. */
  open({ origin = `https://${NAME}`, headers = {}, ...rest } = {}) {
    return this.ask("/rtc", {
      ...rest,
      headers: {
        Connection: "Upgrade", Upgrade: "websocket", Origin: origin,
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "trunkline.v1",
        ...headers,
      },
    });
  }
}

/** The hash of a certificate's public key, as Chromium's command line takes it. */
function pinOf(certificate) {
  const pem = execFileSync("openssl", ["x509", "-in", certificate, "-pubkey", "-noout"], { encoding: "utf8" });
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  return createHash("sha256").update(der).digest("base64");
}
