// WAVs of 16 bit, mono: those that the tests say, and what a phone has written of what it hears,
// while it still writes.

import { readFileSync, statSync } from "node:fs";
import { until } from "./process.mjs";

const HEADER_BYTES = 44;
/** Of the codecs that the phones have. */
const CALL_RATE = 8000;

/** A WAV of those samples, each 16 bit in the machine's own (little) order, at that rate in Hz. */
export function wav(rate, samples) {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("RIFF", 0);
  header.writeUInt32LE(HEADER_BYTES - 8 + samples.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(2 * rate, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}

/**
 * The share of `frequency` (Hz) in the last `seconds` of a WAV of 16 bit, mono, 0 to 1; null while
 * it is too short.
 */
export function shareOf(path, frequency, seconds = 0.5) {
  const file = readFileSync(path);
  if (file.length < HEADER_BYTES) return null;
  // linphone writes the header at the end of the call.
  const rate = file.readUInt32LE(24) || CALL_RATE;
  const count = Math.round(seconds * rate);
  if (file.length < HEADER_BYTES + 2 * count) return null;
  const from = file.length - 2 * count - (file.length % 2);
  let [real, imaginary, power] = [0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    const sample = file.readInt16LE(from + 2 * index) / 32768;
    const angle = (2 * Math.PI * frequency * index) / rate;
    real += sample * Math.cos(angle);
    imaginary += sample * Math.sin(angle);
    power += sample * sample;
  }
  // Quieter than -60 dBFS is nothing.
  if (power / count < 1e-6) return 0;
  return (2 * (real * real + imaginary * imaginary)) / count / power;
}

/** A recording that has not grown for so long is one of a phone that receives nothing. */
const SILENT_AFTER_MILLISECONDS = 2000;

/**
 * What to ask again and again for the share of a frequency in the recording at the path that `find`
 * gives (undefined: there is none yet). A phone writes what it receives only: when nothing arrives
 * the end of its file stays what it heard last, and what it hears is nothing.
 */
export function listening(find, frequency) {
  let size = -1;
  let since = Date.now();
  return () => {
    const path = find();
    if (path === undefined) return null;
    const now = statSync(path).size;
    if (now !== size) [size, since] = [now, Date.now()];
    return Date.now() - since > SILENT_AFTER_MILLISECONDS ? 0 : shareOf(path, frequency);
  };
}

/** Waits until what `share` gives says that the frequency is heard, or no longer. */
export async function untilHeard(share, frequency, wanted = true, milliseconds = 8000) {
  let last = null;
  await until(() => {
    last = share();
    return last !== null && (wanted ? last > 0.7 : last < 0.2);
  }, `the phone ${wanted ? "hears" : "no longer hears"} ${frequency} Hz`, milliseconds, 200)
    .catch((error) => { throw new Error(`${error.message}; its share is ${last}`); });
}
