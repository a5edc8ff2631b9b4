// A process that a test started: its output is kept, and it is ended with the test.

import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";

export class Process {
  /**
   * @param {string} log file that keeps what it says on both streams
   * @param {boolean} input true: `write` reaches it
   */
  constructor(command, { log, environment = {}, directory, input = false } = {}) {
    this.name = command.join(" ");
    this.output = "";
    this.child = spawn(command[0], command.slice(1), {
      env: { ...process.env, ...environment },
      cwd: directory,
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
    });
    const file = log && createWriteStream(log);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.output += text;
        file?.write(text);
      });
    }
    this.exit = new Promise((resolve) => {
      this.child.on("error", (error) => resolve({ error }));
      this.child.on("close", (code, signal) => {
        file?.end();
        this.ended = { code, signal };
        resolve(this.ended);
      });
    });
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

/** Asks until the answer is truthy, and returns it; throws when the time is over. */
export async function until(question, what, milliseconds = 10000, every = 50) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await sleep(every);
  }
}
