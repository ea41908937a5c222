import type { OutputName, WindowOutput } from './batch.js';
import type { Clock } from './clock.js';

/** Where the time of a request went; the two add up to the whole. */
export interface RequestTimings {
  /** None of its windows was in an engine. */
  readonly queueMs: number;
  /** At least one of its windows was in an engine. */
  readonly inferenceMs: number;
}

/** The windows of one request on their way: what is back, what is missing, where the time went. */
export class PendingRequest {
  readonly outputs: readonly OutputName[];
  /** Settles with the outputs of all windows in their order, or with the first failure. */
  readonly done: Promise<WindowOutput[]>;
  readonly #clock: Clock;
  readonly #results: (WindowOutput | undefined)[];
  readonly #startMs: number;
  #missing: number;
  #isSettled = false;
  #numRunning = 0;
  #runningSinceMs = 0;
  #inferenceMs = 0;
  #resolve!: (outputs: WindowOutput[]) => void;
  #reject!: (reason: unknown) => void;

  constructor(
    numWindows: number,
    { outputs, clock }: { outputs: readonly OutputName[]; clock: Clock },
  ) {
    this.outputs = outputs;
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#missing = numWindows;
    this.#results = new Array(numWindows).fill(undefined);
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** One of its windows goes into an engine. */
  windowStarted(): void {
    if (this.#numRunning === 0) this.#runningSinceMs = this.#clock.nowMs();
    this.#numRunning += 1;
  }

  /** One of its windows has left an engine, with rows or without. */
  windowStopped(): void {
    this.#numRunning -= 1;
    if (this.#numRunning === 0) this.#inferenceMs += this.#clock.nowMs() - this.#runningSinceMs;
  }

  /** Takes in what window `index` gave; only the outputs that this request asked for are kept. */
  succeed(index: number, { rows, values }: WindowOutput): void {
    const asked = this.outputs.map((name) => [name, values[name]]);
    this.#results[index] = { rows, values: Object.fromEntries(asked) };
    this.#missing -= 1;
    if (this.#missing > 0 || this.#isSettled) return;
    this.#isSettled = true;
    this.#resolve(this.#results as WindowOutput[]);
  }

  fail(reason: unknown): void {
    this.#isSettled = true;
    this.#reject(reason);
  }

  timings(): RequestTimings {
    const totalMs = this.#clock.nowMs() - this.#startMs;
    return { queueMs: totalMs - this.#inferenceMs, inferenceMs: this.#inferenceMs };
  }
}
