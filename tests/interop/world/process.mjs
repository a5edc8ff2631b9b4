// A process that a test started: its output is kept, and it is ended with the test.

import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";

export class Process {
  #text = "";
  #decoder = new StringDecoder("utf8");
  #file;
  #read = 0;

  /**
   * @param {string} log file that keeps what it says on both streams
   * @param {boolean} input true: `write` reaches it
   */
  constructor(command, { log, environment = {}, directory, input = false } = {}) {
    this.name = command.join(" ");
    // A file, not a pipe: a pipe that nobody reads, while this process waits for a command or has
    // no time, stops whoever writes to it. baresip fills one in two seconds.
    const own = log === undefined ? mkdtempSync(join(tmpdir(), "trunkline-interop-")) : undefined;
    this.#file = openSync(log ?? join(own, "log"), "w+");
    if (own) rmSync(own, { recursive: true });
    this.child = spawn(command[0], command.slice(1), {
      env: { ...process.env, ...environment },
      cwd: directory,
      stdio: [input ? "pipe" : "ignore", this.#file, this.#file],
    });
    this.exit = new Promise((resolve) => {
      const end = (how) => {
        this.#take();
        if (this.#file !== undefined) closeSync(this.#file);
        this.#file = undefined;
        resolve(how);
      };
      this.child.on("error", (error) => end({ error }));
      this.child.on("close", (code, signal) => {
        this.ended = { code, signal };
        end(this.ended);
      });
    });
  }

  /** What it has said on both streams. */
  get output() {
    this.#take();
    return this.#text;
  }

  #take() {
    const piece = Buffer.alloc(65536);
    while (this.#file !== undefined) {
      const length = readSync(this.#file, piece, 0, piece.length, this.#read);
      if (length === 0) return;
      this.#read += length;
      this.#text += this.#decoder.write(piece.subarray(0, length));
    }
  }

  /** Types a line. */
  write(line) {
    this.child.stdin.write(`${line}\n`);
  }

  /** Waits until its output matches; throws when it ends or the time is over. */
  async says(pattern, milliseconds = 15000) {
    await until(() => {
      if (this.ended && !pattern.test(this.output)) {
        throw new Error(`${this.name} ended (${JSON.stringify(this.ended)}) before it said ${pattern}:\n${this.output.slice(-3000)}`);
      }
      return pattern.test(this.output);
    }, `${this.name} says ${pattern}`, milliseconds);
  }

  /** Asks it to end, and ends it when it has not within the time. Returns its exit. */
  async stop(signal = "SIGTERM", milliseconds = 5000) {
    if (this.ended) return this.ended;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), milliseconds);
    const exit = await this.exit;
    clearTimeout(timer);
    return exit;
  }
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Whether a time that is enough on an idle machine is over. Where more wants to run than there are
 * processors, everything takes as much longer: up to eight times, so that a fault still ends.
 */
export function isOver(started, milliseconds) {
  const share = Math.min(Math.max(loadavg()[0] / availableParallelism(), 1), 8);
  return Date.now() - started > milliseconds * share;
}

/** Asks until the answer is truthy, and returns it; throws when the time is over. */
export async function until(question, what, milliseconds = 10000, every = 50) {
  const started = Date.now();
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (isOver(started, milliseconds)) {
      throw new Error(`not within ${milliseconds} ms (${Date.now() - started} ms on this busy machine): ${what}`);
    }
    await sleep(every);
  }
}
