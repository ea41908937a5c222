import type { Clock } from './clock.js';
import type { Engine, EngineLostError } from './engine-process.js';

/** What the pool tells its owner. */
export interface EnginePoolListener {
  /** An engine has come up and is idle. */
  up(): void;
  /** No engine lives and starting one has failed: nothing will be run for some time. */
  down(): void;
  /** An engine was lost; another is started in its place. */
  lost(engine: number, error: EngineLostError): void;
  /** An engine could not be started in the place of a lost one; it will be tried again. */
  startFailed(engine: number, error: Error, retryInMs: number): void;
}

export interface EnginePoolOptions {
  /** One per place: starts an engine that is warm and checked. */
  readonly starts: readonly ((signal: AbortSignal) => Promise<Engine>)[];
  readonly clock: Clock;
}

interface Place {
  readonly index: number;
  readonly start: (signal: AbortSignal) => Promise<Engine>;
  engine: Engine | undefined;
  busy: boolean;
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

  private constructor({ starts, clock }: EnginePoolOptions) {
    this.#clock = clock;
    this.#places = starts.map((start, index) => {
      const nothingYet = { engine: undefined, busy: false, losses: 0, failedStarts: 0 };
      return { index, start, restart: undefined, ...nothingYet };
    });
  }

  /** Engines when all is well. */
  get size(): number {
    return this.#places.length;
  }

  /** Engines that live now. */
  get numLive(): number {
    return this.#places.filter(({ engine }) => engine !== undefined).length;
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
   * Lends an idle engine for one piece of work; it is idle again when the promise resolves.
   *
   * A run that fails for a reason in the session leaves the engine in doubt: it is replaced.
   *
   * @param work rejects with what the engine's `run` rejected with
   * @throws Error when no engine is idle; ask `hasIdle` first
   */
  async lend<T>(work: (engine: Engine, index: number) => Promise<T>): Promise<T> {
    const place = this.#places.find(({ engine, busy }) => engine !== undefined && !busy);
    if (place?.engine === undefined) throw new Error('Expected an idle engine');
    const { engine } = place;
    place.busy = true;
    try {
      const result = await work(engine, place.index);
      place.busy = false;
      place.losses = 0;
      return result;
    } catch (error) {
      // Stays busy until its end is noticed, so that nobody else borrows it.
      engine.kill('run_failed');
      throw error;
    }
  }

  /** Ends all engines, those that are just starting included. */
  async close({ graceMs }: { graceMs: number }): Promise<void> {
    this.#closing.abort(new Error('The engines are being closed'));
    for (const place of this.#places) place.restart?.cancel();
    const closed = this.#places.map(({ engine }) => engine?.close({ graceMs }));
    await Promise.all([...closed, ...this.#starting]);
  }
  async #fill(place: Place): Promise<void> {
    const engine = await place.start(this.#closing.signal);
    if (this.#closing.signal.aborted) return engine.close({ graceMs: 0 });
    place.engine = engine;
    place.busy = false;
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
