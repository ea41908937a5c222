import { type ChildProcess, fork } from 'node:child_process';
import { entryPoint } from '../entry-point.js';
import type { Batch, BatchOutput, OutputName } from './batch.js';
import { type Clock, systemClock } from './clock.js';
import type { EngineCommand, EngineReply, EngineSpec } from './engine-messages.js';
import { TextTail } from './text-tail.js';

/** Why an engine is no more: it ended by itself, ran too long, failed a run, or gave other numbers than it should. */
export type LossReason = 'crashed' | 'timeout' | 'run_failed' | 'self_test_failed';

/** The engine process ended before it answered. */
export class EngineLostError extends Error {
  readonly reason: LossReason;
  /** The last of what it wrote to stderr. */
  readonly stderr: string;

  constructor(message: string, { reason, stderr }: { reason: LossReason; stderr: string }) {
    super(message);
    this.name = 'EngineLostError';
    this.reason = reason;
    this.stderr = stderr;
  }
}

/** The engine answered that its session refused the batch. */
export class EngineRunError extends Error {
  override readonly name = 'EngineRunError';
}

/** No engine came up. */
export class EngineStartError extends Error {
  /** All that it wrote to stderr, or the last of it: the runtime names causes only there. */
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.name = 'EngineStartError';
    this.stderr = stderr;
  }
}

/** How a batch is to be run. */
export interface RunOptions {
  readonly outputs: readonly OutputName[];
  readonly timeoutMs: number;
}

/** One open graph in a process of its own; hides how it is reached. */
export interface Engine {
  readonly pid: number;
  /** Settles when the process has ended, whatever the reason. */
  readonly ended: Promise<EngineLostError>;
  /**
   * Runs one batch. One at a time.
   *
   * @throws EngineLostError when the process ends before it answers, or is ended after `timeoutMs`
   * @throws EngineRunError when the session refused the batch
   */
  run(batch: Batch, options: RunOptions): Promise<BatchOutput>;
  /** Ends the process at once. */
  kill(reason: LossReason): void;
  /** Asks the engine to end after the run in hand, and ends it when `graceMs` have passed. */
  close(options: { graceMs: number }): Promise<void>;
}

const STDERR_KEPT_BYTES = 16 * 1024;
// Reading some hundred megabytes from a cold disk and preparing a device take their time.
const START_TIMEOUT_MS = 300_000;

/**
 * Forks an engine process and has it open its graph.
 *
 * @throws EngineStartError when the graph could not be opened or the process ended, also through `signal`
 */
export async function startEngine(
  spec: EngineSpec,
  { clock = systemClock, signal }: { clock?: Clock; signal?: AbortSignal } = {},
): Promise<Engine> {
  signal?.throwIfAborted();
  const engine = new EngineProcess(clock);
  const kill = () => engine.kill('crashed');
  signal?.addEventListener('abort', kill, { once: true });
  try {
    await engine.load(spec);
    return engine;
  } catch (error) {
    engine.kill('crashed');
    const { stderr } = await engine.ended;
    throw new EngineStartError((error as Error).message, stderr);
  } finally {
    signal?.removeEventListener('abort', kill);
  }
}

interface Question {
  readonly resolve: (reply: EngineReply) => void;
  readonly reject: (error: Error) => void;
}

class EngineProcess implements Engine {
  readonly ended: Promise<EngineLostError>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  readonly #stderr = new TextTail(STDERR_KEPT_BYTES);
  /** Set by whoever ends the process on purpose, before it ends. */
  #lossReason: LossReason = 'crashed';
  #question: Question | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#child = fork(entryPoint('./engine', import.meta.url), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (piece: Buffer) => this.#stderr.push(piece));
    this.#child.on('message', (reply: EngineReply) => this.#settle()?.resolve(reply));
    this.ended = this.#whenEnded();
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async load(spec: EngineSpec): Promise<void> {
    await this.#ask({ type: 'load', spec }, START_TIMEOUT_MS);
  }

  async run(batch: Batch, { outputs, timeoutMs }: RunOptions): Promise<BatchOutput> {
    const reply = await this.#ask({ type: 'run', batch, outputs }, timeoutMs);
    if (reply.type !== 'ran') throw new Error(`Expected the reply "ran", got "${reply.type}"`);
    return reply.output;
  }

  kill(reason: LossReason): void {
    this.#lossReason = reason;
    this.#child.kill('SIGKILL');
  }

  async close({ graceMs }: { graceMs: number }): Promise<void> {
    // A process that ended a moment ago refuses the message; that it ended is all we want.
    this.#child.send({ type: 'close' } satisfies EngineCommand, () => {});
    const timer = this.#clock.after(graceMs, () => this.#child.kill('SIGKILL'));
    await this.ended;
    timer.cancel();
  }

  async #ask(command: EngineCommand, timeoutMs: number): Promise<EngineReply> {
    if (this.#question !== undefined) throw new Error('Expected one command at a time');
    const timer = this.#clock.after(timeoutMs, () => this.kill('timeout'));
    try {
      const reply = await new Promise<EngineReply>((resolve, reject) => {
        this.#question = { resolve, reject };
        this.#child.send(command, (error) => {
          if (error !== null) void this.#rejectWhenEnded();
        });
      });
      if (reply.type === 'failed') throw new EngineRunError(reply.message);
      return reply;
    } finally {
      timer.cancel();
    }
  }

  /** A process that cannot be written to has ended or is about to; its end is the better error. */
  async #rejectWhenEnded(): Promise<void> {
    this.#child.kill('SIGKILL');
    const error = await this.ended;
    this.#settle()?.reject(error);
  }

  #settle(): Question | undefined {
    const question = this.#question;
    this.#question = undefined;
    return question;
  }

  async #whenEnded(): Promise<EngineLostError> {
    const how = await new Promise<string>((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      // Not 'exit': only after 'close' has all of stderr been read.
      this.#child.once('close', (code, signal) =>
        resolve(signal === null ? `exit code ${code}` : signal),
      );
    });
    const error = new EngineLostError(`The engine ended (${this.#lossReason}, ${how})`, {
      reason: this.#lossReason,
      stderr: this.#stderr.text(),
    });
    this.#settle()?.reject(error);
    return error;
  }
}
