import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Contender } from '../contender.js';

interface Reply {
  readonly ready?: true;
  readonly version?: string;
  readonly cpuSeconds?: number;
}

/** How a contender with a process of its own is started. */
export interface ChildOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly runsPerTurn: number;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMPLAINT_LINES = 20;

/** Path of a program of `bench/children/`. */
const childProgram = (file: string) =>
  fileURLToPath(new URL(`../children/${file}`, import.meta.url));

/** Starts a program of `bench/children/` under Node. */
export function openNodeChild(
  file: string,
  args: readonly string[],
  options: Pick<ChildOptions, 'name' | 'runsPerTurn'>,
): Promise<ChildContender> {
  const nodeArgs = ['--import', 'tsx', childProgram(file), ...args];
  // Where tsx is found, wherever the benchmark was started.
  return ChildContender.open({ ...options, program: process.execPath, args: nodeArgs, cwd: ROOT });
}

/** A contender in a process of its own: told how often to run, it answers what that took. */
export class ChildContender implements Contender {
  readonly name: string;
  readonly version: string;
  readonly #runsPerTurn: number;
  readonly #process: ChildProcess;
  readonly #replies: AsyncIterator<Reply>;

  /** Comes back when it has run once. @throws Error with what it last wrote, when it ends instead */
  static async open(options: ChildOptions): Promise<ChildContender> {
    const { program, args, cwd, env } = options;
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    const complaint = lastLines(createInterface({ input: child.stderr }));
    const replies = repliesIn(createInterface({ input: child.stdout }));
    const { value, done } = await replies.next();
    if (done || !value.ready) {
      throw new Error(`${options.name} did not start: ${await complaint}`);
    }
    return new ChildContender(options, value.version ?? '', child, replies);
  }

  private constructor(
    { name, runsPerTurn }: ChildOptions,
    version: string,
    child: ChildProcess,
    replies: AsyncIterator<Reply>,
  ) {
    this.name = name;
    this.version = version;
    this.#runsPerTurn = runsPerTurn;
    this.#process = child;
    this.#replies = replies;
  }

  async turn(): Promise<number> {
    return (await this.run(this.#runsPerTurn)) / this.#runsPerTurn;
  }

  /** Runs so often. @returns seconds of processor time for all of it */
  async run(runs: number): Promise<number> {
    this.#process.stdin?.write(`${JSON.stringify({ runs })}\n`);
    const { value, done } = await this.#replies.next();
    if (done || value.cpuSeconds === undefined) throw new Error(`${this.name} ended in its turn`);
    return value.cpuSeconds;
  }

  async close(): Promise<void> {
    const exit = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exit;
  }
}

/** Lines that are replies; libraries write there too. */
async function* repliesIn(lines: Interface): AsyncGenerator<Reply> {
  for await (const line of lines) if (line.startsWith('{"')) yield JSON.parse(line) as Reply;
}

/** What went wrong, once there are no more lines: the last that names an error, or else the last. */
async function lastLines(lines: Interface): Promise<string> {
  let last: string[] = [];
  for await (const line of lines) if (line !== '') last = [...last, line].slice(-COMPLAINT_LINES);
  return last.findLast((line) => /Error/.test(line)) ?? last.at(-1) ?? 'it said nothing';
}
