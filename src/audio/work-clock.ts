/** [nanoseconds of work that is done, when the work in hand began or 0] */
const BYTES = 16;
const [DONE, SINCE] = [0, 1];

/**
 * How long a thread has worked on one clip, read by another thread while it works: what a hanging decoder could not
 * tell itself. Waiting for others does not count.
 */
export class WorkClock {
  readonly memory: SharedArrayBuffer;
  readonly #ns: BigInt64Array;

  constructor(memory = new SharedArrayBuffer(BYTES)) {
    this.memory = memory;
    this.#ns = new BigInt64Array(memory);
  }

  get isRunning(): boolean {
    return Atomics.load(this.#ns, SINCE) !== 0n;
  }

  get workedMs(): number {
    const since = Atomics.load(this.#ns, SINCE);
    const runningNs = since === 0n ? 0n : process.hrtime.bigint() - since;
    return Number(Atomics.load(this.#ns, DONE) + runningNs) / 1e6;
  }

  /** How long the work in hand has gone on. */
  get turnMs(): number {
    const since = Atomics.load(this.#ns, SINCE);
    return since === 0n ? 0 : Number(process.hrtime.bigint() - since) / 1e6;
  }

  start(): void {
    if (!this.isRunning) Atomics.store(this.#ns, SINCE, process.hrtime.bigint());
  }

  stop(): void {
    const since = Atomics.load(this.#ns, SINCE);
    if (since === 0n) return;
    Atomics.add(this.#ns, DONE, process.hrtime.bigint() - since);
    Atomics.store(this.#ns, SINCE, 0n);
  }
}
