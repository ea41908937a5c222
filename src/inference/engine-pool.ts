import type { Batch, BatchOutput } from './batch.js';
import type { Clock } from './clock.js';
import type { Engine, EngineLostError, RunOptions } from './engine-process.js';

/** What the pool tells its owner. */
export interface EnginePoolListener {
  /** An engine has come up and is idle. */
  up(): void;
  /** No engine lives and starting one has failed: nothing will be run for some time. */
  down(): void;
  /** An engine was lost; another is started in its place. */
  lost(engine: number, error: EngineLostError): void;
  /** An engine that was in doubt gives other numbers than it should; it is lost next. */
  selfTestFailed(engine: number, error: Error): void;
  /** An engine could not be started in the place of a lost one; it will be tried again. */
  startFailed(engine: number, error: Error, retryInMs: number): void;
}

export interface EnginePoolOptions {
  /** One per place: starts an engine that is warm and checked. */
  readonly starts: readonly ((signal: AbortSignal) => Promise<Engine>)[];
  /** Rejects when an engine does not give the numbers that are known of a sound. */
  readonly selfTest: (engine: Engine) => Promise<void>;
  readonly clock: Clock;
}

interface Place {
  readonly index: number;
  readonly start: (signal: AbortSignal) => Promise<Engine>;
  engine: Engine | undefined;
  busy: boolean;
  /** It gave numbers that are not finite and has not yet shown that it can do better. */
  isInDoubt: boolean;
  /** Losses since the last run that succeeded; spaces out restarts. */
  losses: number;
  /** Starts that failed since the last engine of this place lived. */
  failedStarts: number;
  restart: { cancel(): void } | undefined;
}

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 30_000;

/** How long to wait before the next start, after so many failures in a row: 0, 250, 500 ... 30 000 ms. */
export function restartDelayMs(failures: number): number {
  return failures < 2 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 2));
}

/** Engines of one model: hands out the idle ones, replaces the lost ones. */
export class EnginePool {
  readonly #places: readonly Place[];
  readonly #selfTest: EnginePoolOptions['selfTest'];
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  readonly #starting = new Set<Promise<void>>();
  #listener: EnginePoolListener | undefined;

  /**
   * Starts all engines at once.
   *
   * @throws what the first failing start threw; by then no engine is left
   */
  static async start(options: EnginePoolOptions): Promise<EnginePool> {
    const pool = new EnginePool(options);
    const starts = pool.#places.map((place) => pool.#fill(place));
    try {
      await Promise.all(starts);
      return pool;
    } catch (error) {
      await pool.close({ graceMs: 0 });
      await Promise.allSettled(starts);
      throw error;
    }
  }

  private constructor({ starts, selfTest, clock }: EnginePoolOptions) {
    this.#selfTest = selfTest;
    this.#clock = clock;
    this.#places = starts.map((start, index) => {
      const nothingYet = { engine: undefined, losses: 0, failedStarts: 0, restart: undefined };
      return { index, start, busy: false, isInDoubt: false, ...nothingYet };
    });
  }

  /** Engines when all is well. */
  get size(): number {
    return this.#places.length;
  }

  /** Engines that live now and are not in doubt. */
  get numLive(): number {
    return this.#places.filter(({ engine, isInDoubt }) => engine !== undefined && !isInDoubt)
      .length;
  }

  /** True when no engine lives and each place has failed to start one. */
  get isDown(): boolean {
    return this.#places.every(({ engine, failedStarts }) => !engine && failedStarts > 0);
  }

  get hasIdle(): boolean {
    return this.#places.some(({ engine, busy }) => engine !== undefined && !busy);
  }

  /** Set once, by the owner of the pool. */
  listen(listener: EnginePoolListener): void {
    this.#listener = listener;
  }

  /**
   * Runs one batch in an idle engine.
   *
   * An engine whose run fails for a reason in the session is replaced. One that gives numbers that are not finite is in
   * doubt: nothing of what it gave comes back, and nothing more is run in it, before it has passed the self-test. If it
   * fails that, the batch is lost with it.
   *
   * @throws what the engine's `run` or the self-test threw
   * @throws Error when no engine is idle; ask `hasIdle` first
   */
  async run(batch: Batch, options: RunOptions): Promise<{ output: BatchOutput; engine: number }> {
    const place = this.#places.find(({ engine, busy }) => engine !== undefined && !busy);
    if (place?.engine === undefined) throw new Error('Expected an idle engine');
    const { engine, index } = place;
    // Stays busy where a run fails, until the end of the engine is noticed, so that nobody else gets it.
    place.busy = true;
    const output = await engine.run(batch, options).catch((error: unknown) => {
      engine.kill('run_failed');
      throw error;
    });
    if (output.windows.some(({ finite }) => !finite)) await this.#prove(place, engine);
    place.busy = false;
    place.losses = 0;
    return { output, engine: index };
  }

  /** Ends all engines, those that are just starting included. */
  async close({ graceMs }: { graceMs: number }): Promise<void> {
    this.#closing.abort(new Error('The engines are being closed'));
    for (const place of this.#places) place.restart?.cancel();
    const closed = this.#places.map(({ engine }) => engine?.close({ graceMs }));
    await Promise.all([...closed, ...this.#starting]);
  }

  /** Numbers that are not finite may be the clip's doing or the engine's; a sound that is known tells which. */
  async #prove(place: Place, engine: Engine): Promise<void> {
    place.isInDoubt = true;
    try {
      await this.#selfTest(engine);
      place.isInDoubt = false;
    } catch (error) {
      if (place.engine === engine) this.#listener?.selfTestFailed(place.index, error as Error);
      engine.kill('self_test_failed');
      throw error;
    }
  }

  async #fill(place: Place): Promise<void> {
    const engine = await place.start(this.#closing.signal);
    if (this.#closing.signal.aborted) return engine.close({ graceMs: 0 });
    place.engine = engine;
    place.busy = false;
    place.isInDoubt = false;
    place.failedStarts = 0;
    void engine.ended.then((error) => this.#replace(place, error));
    this.#listener?.up();
  }

  #replace(place: Place, error: EngineLostError): void {
    place.engine = undefined;
    if (this.#closing.signal.aborted) return;
    place.losses += 1;
    this.#listener?.lost(place.index, error);
    this.#refillAfter(place, restartDelayMs(place.losses));
  }

  #refillAfter(place: Place, delayMs: number): void {
    place.restart = this.#clock.after(delayMs, () => {
      const refilled = this.#refill(place).finally(() => this.#starting.delete(refilled));
      this.#starting.add(refilled);
    });
  }

  async #refill(place: Place): Promise<void> {
    try {
      await this.#fill(place);
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      place.failedStarts += 1;
      const retryInMs = restartDelayMs(place.losses + place.failedStarts);
      this.#listener?.startFailed(place.index, error as Error, retryInMs);
      if (this.isDown) this.#listener?.down();
      this.#refillAfter(place, retryInMs);
    }
  }
}
