// An authority of one run, and certificates that it signs.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const openssl = (...words) => execFileSync("openssl", words, { stdio: ["ignore", "pipe", "pipe"] });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export class Certificates {
  constructor(folder) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.authority = join(folder, "ca.pem");
    openssl("req", "-x509", ...KEY, "-days", "2", "-subj", "/CN=Interop authority",
      "-keyout", join(folder, "ca.key"), "-out", this.authority);
  }

  /** Files of a certificate for a name and an address: { certificate, key }. */
  sign(name, address) {
    const at = (ending) => join(this.folder, `${name}.${ending}`);
    writeFileSync(at("ext"), `subjectAltName=DNS:${name},IP:${address}\n`);
    openssl("req", ...KEY, "-subj", `/CN=${name}`, "-keyout", at("key"), "-out", at("csr"));
    openssl("x509", "-req", "-in", at("csr"), "-CA", this.authority, "-CAkey", join(this.folder, "ca.key"),
      "-CAcreateserial", "-days", "2", "-extfile", at("ext"), "-out", at("pem"));
    return { certificate: at("pem"), key: at("key") };
  }
}
