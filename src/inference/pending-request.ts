import { type GraphName, graphOf, type OutputName, type WindowOutput } from './batch.js';
import type { Clock } from './clock.js';

/** Where the time of a request went; the two add up to the time in which it had windows in hand. */
export interface RequestTimings {
  /** None of its windows was in an engine. */
  readonly queueMs: number;
  /** At least one of its windows was in an engine. */
  readonly inferenceMs: number;
}

interface PendingRequestOptions {
  readonly outputs: readonly OutputName[];
  readonly client?: string | undefined;
  readonly clock: Clock;
}

interface Expected {
  readonly resolve: (output: WindowOutput) => void;
  readonly reject: (reason: unknown) => void;
}

/** The windows of one request on their way: which are missing, where the time went. */
export class PendingRequest {
  readonly outputs: readonly OutputName[];
  /** The one that gives them. */
  readonly graph: GraphName;
  /** Undefined where it belongs to none. */
  readonly client: string | undefined;
  readonly #expected = new Map<number, Expected>();
  readonly #handTime: Stopwatch;
  readonly #engineTime: Stopwatch;
  #numWindows = 0;
  #failure: { readonly reason: unknown } | undefined;

  constructor({ outputs, client, clock }: PendingRequestOptions) {
    this.outputs = outputs;
    this.client = client;
    this.graph = graphOf(outputs);
    this.#handTime = new Stopwatch(clock);
    this.#engineTime = new Stopwatch(clock);
  }

  /** Whether no window was expected yet. */
  get isNew(): boolean {
    return this.#numWindows === 0;
  }

  /** What ended it before its time. */
  get failure(): { readonly reason: unknown } | undefined {
    return this.#failure;
  }

  /** One more window is in hand. `done` settles with its output, or with what ends the request. */
  expect(): { readonly index: number; readonly done: Promise<WindowOutput> } {
    const index = this.#numWindows++;
    this.#handTime.enter();
    const done = new Promise<WindowOutput>((resolve, reject) => {
      this.#expected.set(index, { resolve, reject });
    });
    return { index, done };
  }

  /** One of its windows goes into an engine. */
  windowStarted(): void {
    this.#engineTime.enter();
  }

  /** One of its windows has left an engine, with rows or without. */
  windowStopped(): void {
    this.#engineTime.leave();
  }

  /** Takes in what window `index` gave; only the outputs that this request asked for are kept. */
  succeed(index: number, { rows, values }: WindowOutput): void {
    const expected = this.#take(index);
    const asked = this.outputs.map((name) => [name, values[name]]);
    expected?.resolve({ rows, values: Object.fromEntries(asked) });
  }

  /** Ends it: windows in hand, and those that may come, are rejected with the first reason. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    for (const index of [...this.#expected.keys()]) this.#take(index)?.reject(reason);
  }

  timings(): RequestTimings {
    const inferenceMs = this.#engineTime.ms;
    return { queueMs: Math.max(0, this.#handTime.ms - inferenceMs), inferenceMs };
  }

  #take(index: number): Expected | undefined {
    const expected = this.#expected.get(index);
    if (expected && this.#expected.delete(index)) this.#handTime.leave();
    return expected;
  }
}

/** Time in which at least one was inside. */
class Stopwatch {
  readonly #clock: Clock;
  #numInside = 0;
  #sinceMs = 0;
  #ms = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get ms(): number {
    return this.#ms;
  }

  enter(): void {
    if (this.#numInside === 0) this.#sinceMs = this.#clock.nowMs();
    this.#numInside += 1;
  }

  leave(): void {
    this.#numInside -= 1;
    if (this.#numInside === 0) this.#ms += this.#clock.nowMs() - this.#sinceMs;
  }
}
