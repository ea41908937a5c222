import type { Batch, BatchOutput, OutputName } from '../../src/inference/batch.js';
import { numRows } from '../../src/inference/batch.js';
import {
  type Engine,
  EngineLostError,
  type LossReason,
} from '../../src/inference/engine-process.js';

interface Run {
  readonly batch: Batch;
  readonly outputs: readonly OutputName[];
  readonly timeoutMs: number;
  readonly resolve: (output: BatchOutput) => void;
  readonly reject: (error: Error) => void;
}

/**
 * An engine whose runs end when the test says so: for the order of things, which real runs do not show.
 *
 * Of each window it gives the first sample as its one logit.
 */
export class ScriptedEngine implements Engine {
  readonly pid = 0;
  readonly ended: Promise<EngineLostError>;
  /** All runs so far. */
  readonly runs: Run[] = [];
  #run: Run | undefined;
  #end!: (error: EngineLostError) => void;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get isBusy(): boolean {
    return this.#run !== undefined;
  }

  run(
    batch: Batch,
    { outputs, timeoutMs }: { outputs: readonly OutputName[]; timeoutMs: number },
  ): Promise<BatchOutput> {
    return new Promise((resolve, reject) => {
      this.#run = { batch, outputs, timeoutMs, resolve, reject };
      this.runs.push(this.#run);
    });
  }

  /** Ends the run in hand; places named in `nonfinite` are marked so. */
  finish({ nonfinite = [] }: { nonfinite?: number[] } = {}): void {
    const { batch, outputs, resolve } = this.#take();
    const windows = Array.from({ length: batch.numWindows }, (_, place) => {
      const rows = numRows(batch.numSamples[place] ?? 0);
      if (nonfinite.includes(place)) return { rows, values: {}, finite: false };
      const start = place * batch.samples;
      const answer = batch.waveform.slice(start, start + 1);
      return {
        rows,
        values: Object.fromEntries(outputs.map((name) => [name, answer])),
        finite: true,
      };
    });
    resolve({ windows, inferenceMs: 100 });
  }

  /** The session refuses the run in hand. */
  refuse(error: Error): void {
    this.#take().reject(error);
  }

  kill(reason: LossReason): void {
    const error = new EngineLostError(`lost (${reason})`, { reason, stderr: '' });
    this.#run?.reject(error);
    this.#run = undefined;
    this.#end(error);
  }

  async close(): Promise<void> {
    this.kill('crashed');
  }

  #take(): Run {
    if (this.#run === undefined) throw new Error('Expected a run in hand');
    const run = this.#run;
    this.#run = undefined;
    return run;
  }
}

/** Lets everything that waits for nothing but its turn go on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
