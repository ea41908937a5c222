import type { Window } from '../audio/window.js';
import type { Log } from '../log.js';
import { graphOf, type OutputName, type WindowOutput } from './batch.js';
import {
  Batcher,
  type BatcherListener,
  type RunOptions,
  type StreamOptions,
  type WindowStream,
} from './batcher.js';
import { type Clock, systemClock } from './clock.js';
import type { EnginePoolListener } from './engine-pool.js';
import { graphSpecs } from './graph-spec.js';
import type { ModelCard } from './model-card.js';
import type { InferenceObserver } from './observer.js';
import { type EngineOptions, type OpenEngines, openEngines } from './open-engines.js';
import type { PrecisionState } from './precision.js';
import type { ProviderState } from './provider.js';
import { RunMeter } from './run-meter.js';

/** A model that runs. */
export interface Model {
  readonly card: ModelCard;
  readonly precision: PrecisionState;
  readonly provider: ProviderState;
  /** Engines when all is well. */
  readonly engines: number;
  /** Most windows that an engine runs together. */
  readonly maxBatchWindows: number;
  /** Most windows that may wait. */
  readonly queueMaxWindows: number;
  /** Windows that wait now. */
  readonly queuedWindows: number;
  /** Those of one client. */
  queuedWindowsOf(client: string): number;
  /** Whole seconds until what waits is done, at the rate of the last runs; at least 1. */
  readonly retryAfterSeconds: number;
  /** Whether an engine lives. */
  isReady(): boolean;
  /**
   * Runs the windows of one request; the outputs come in their order.
   *
   * Outputs are those of one graph, here and in `open`; `tokens` is for models whose card has tokens.
   *
   * @throws ServiceError `overloaded`, `engine_unavailable`, `inference_failed` or `draining`
   * @throws the reason of `signal` when that is aborted
   */
  run(windows: readonly Window[], options: RunOptions): Promise<WindowOutput[]>;
  /**
   * Begins a request whose windows come one after the other; to be closed in every case.
   *
   * @throws the reason of `signal` when that is aborted
   */
  open(options: StreamOptions): WindowStream;
  /**
   * The admission check of requests, to be made before an upload is read; the first window makes it again.
   *
   * @throws ServiceError `overloaded`, `engine_unavailable` or `draining`
   */
  assertCanAdmit(numWindows?: number): void;
}

export interface ClosableModel extends Model {
  /** Refuses what waits, lets runs in hand end within `graceMs`, ends the engines. */
  close(options: { graceMs: number }): Promise<void>;
}

export interface ModelOptions extends EngineOptions {
  /** Most windows that may wait; by default eight rounds of the engines. */
  readonly queueMaxWindows?: number | undefined;
  /** With so many seconds of sound waiting no further request is let in; by default windows alone count. */
  readonly queueMaxAudioSeconds?: number | undefined;
  /** When a run is taken for stuck; by default ten times what the warm-up took, at least 10 s. */
  readonly engineRunTimeoutMs?: number | undefined;
  readonly log: Log;
  readonly observer: InferenceObserver;
  readonly clock?: Clock | undefined;
}

const QUEUE_ROUNDS = 8;

/**
 * Starts the engines of the model in `folder`, warm and checked.
 *
 * @throws Error that says which model cannot start, and why
 */
export async function startModel(
  folder: string,
  { card, ...options }: ModelOptions & { card: ModelCard },
): Promise<ClosableModel> {
  const { engineRunTimeoutMs, queueMaxAudioSeconds, observer, clock = systemClock } = options;
  const startMs = clock.nowMs();
  const opened = await openEngines(folder, { ...options, card, clock });
  const { pool, plan, provider, precision, msPerAudioSecond } = opened;
  const queueMaxWindows = options.queueMaxWindows ?? QUEUE_ROUNDS * pool.size * plan.maxWindows;
  const meter = new RunMeter({
    sampleRate: card.sampleRate,
    msPerAudioSecond,
    engineRunTimeoutMs,
    warmedShapes: options.warmup ? plan.shapes : [],
    graphs: graphSpecs(card, precision.active).map(({ name }) => name),
    hasFixedShapes: plan.shapes.length > 0,
  });
  const listener = batcherListener(card.name, provider, observer);
  const { minSamples } = card;
  const limits = { minSamples, queueMaxWindows, queueMaxAudioSeconds };
  const batcher = new Batcher({ pool, plan, meter, ...limits, clock, listener });
  pool.listen(poolListener(card.name, batcher, options));
  announceStart(opened, { card, ...options }, { queueMaxWindows, loadMs: clock.nowMs() - startMs });
  return {
    card,
    precision,
    provider,
    engines: pool.size,
    maxBatchWindows: plan.maxWindows,
    queueMaxWindows,
    get queuedWindows() {
      return batcher.queuedWindows;
    },
    queuedWindowsOf: (client) => batcher.queuedWindowsOf(client),
    get retryAfterSeconds() {
      return batcher.retryAfterSeconds;
    },
    isReady: () => pool.numLive > 0,
    run: async (windows, runOptions) => {
      assertHasGraph(card, runOptions.outputs);
      return batcher.run(windows, runOptions);
    },
    open: (streamOptions) => {
      assertHasGraph(card, streamOptions.outputs);
      return batcher.open(streamOptions);
    },
    assertCanAdmit: (numWindows) => batcher.assertCanAdmit(numWindows),
    close: async (closeOptions) => {
      batcher.close();
      await pool.close(closeOptions);
    },
  };
}

function assertHasGraph({ name, tokens }: ModelCard, outputs: readonly OutputName[]): void {
  if (tokens !== null || graphOf(outputs) === 'encoder') return;
  throw new RangeError(`Expected outputs of the encoder, ${name} has no tokenizer`);
}

function batcherListener(
  model: string,
  { active }: ProviderState,
  observer: InferenceObserver,
): BatcherListener {
  return {
    batchDone: (event) => observer.batchDone({ ...event, model, provider: active }),
    queueChanged: (event) => observer.queueChanged({ ...event, model }),
    nonfiniteWindows: (windows) => observer.nonfiniteWindows({ model, windows }),
  };
}

function poolListener(
  model: string,
  batcher: Batcher,
  { log, observer }: Pick<ModelOptions, 'log' | 'observer'>,
): EnginePoolListener {
  return {
    up: () => batcher.dispatch(),
    down: () => batcher.failAll(),
    lost(engine, { reason, message, stderr }) {
      log.warn({ model, engine, reason, stderr }, `${message}; another is started`);
      observer.engineRestarted({ model, reason });
    },
    selfTestFailed(engine, { message }) {
      log.error({ model, engine }, `An engine gave numbers that are not finite: ${message}`);
    },
    startFailed(engine, { message }, retryInMs) {
      log.error({ model, engine, retry_in_ms: retryInMs }, `No engine came up: ${message}`);
    },
  };
}

function announceStart(
  { pool, provider, precision, warmupMs }: OpenEngines,
  { card, log, observer }: ModelOptions & { card: ModelCard },
  { queueMaxWindows, loadMs }: { queueMaxWindows: number; loadMs: number },
): void {
  const model = card.name;
  const engines = pool.size;
  if (provider.requested === 'auto' && provider.reason !== undefined) {
    const { reason, detail } = provider;
    log.warn({ model, reason, detail }, 'CUDA cannot be used, the model runs on CPU');
    observer.providerFellBack({ model, reason });
  }
  log.info(
    {
      ...{ model, provider: provider.active, engines, load_ms: Math.round(loadMs) },
      ...{ precision: precision.active, precision_reason: precision.reason },
    },
    'model started',
  );
  observer.modelLoaded({
    model,
    provider: provider.active,
    engines,
    queueLimitWindows: queueMaxWindows,
    loadMs,
    warmupMs,
  });
}
