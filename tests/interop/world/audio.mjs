// What was heard, measured by tests/interop/audio/measure.py.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const start = promisify(execFile);

export class Audio {
  /** @param {string} folder what audio/make-environment printed */
  constructor(repository, folder) {
    this.script = join(repository, "tests/interop/audio/measure.py");
    this.python = join(folder, "python/bin/python");
    /** 9.5 s of speech: what a browser's microphone plays (48 kHz), in a loop. */
    this.microphone = join(folder, "speech/microphone.wav");
    /** The same at 8 kHz: what PESQ compares with. */
    this.reference = join(folder, "speech/reference.wav");
    /** The same as PCMU octets. */
    this.octets = join(folder, "speech/reference.ulaw");
    this.seconds = 9.5;
  }

  /** { passes: [{ at, mos, gain_db }], mos (their mean, null when the speech was not found), ... } */
  async pesq(heard) {
    return JSON.parse((await start(this.python, [this.script, "pesq", this.reference, heard])).stdout);
  }

  /** { frequency in Hz, level_dbfs, purity } of the last seconds. */
  async tone(heard, seconds = 2) {
    return JSON.parse((await start(this.python, [this.script, "tone", heard, String(seconds)])).stdout);
  }
}
