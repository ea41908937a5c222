import { type BatchPlan, bucketedPlan, lonePlan } from './batch-plan.js';
import type { Clock } from './clock.js';
import type { EngineSpec } from './engine-messages.js';
import { EnginePool } from './engine-pool.js';
import { type Engine, EngineStartError, startEngine } from './engine-process.js';
import { type GraphSpec, graphSpecs } from './graph-spec.js';
import type { ModelCard } from './model-card.js';
import { choosePrecision, type PrecisionState, type RequestedPrecision } from './precision.js';
import {
  classifyCudaFailure,
  missingProviderFile,
  type Provider,
  type ProviderFailure,
  type ProviderState,
  platformFailure,
  type RequestedProvider,
} from './provider.js';
import { Reference, type WarmUpOptions, type WarmUpResult, warmUp } from './warm-up.js';

// A self-test that takes so long is stuck.
const MIN_RUN_TIMEOUT_MS = 10_000;
const WARMUPS_OF_A_RUN = 10;

/** How the engines of a model are to be started. */
export interface EngineOptions {
  readonly provider: RequestedProvider;
  readonly precision: RequestedPrecision;
  /** Engines on CPU; on CUDA there is one per device. */
  readonly engines: number;
  readonly intraOpThreads: number;
  readonly cudaDevices: readonly number[];
  readonly batchSizes: readonly number[];
  readonly batchLengthsSeconds: readonly number[];
  /** Run a full window, and on fixed shapes each of them, before serving. */
  readonly warmup: boolean;
  /** Lone windows or batches of fixed shapes; by default what suits the provider. */
  readonly batching?: 'lone' | 'bucketed' | undefined;
  /** Forks an engine; another one stands in for it where faults are provoked. */
  readonly startEngine?: typeof startEngine;
}

export interface OpenEngines extends WarmUpResult {
  readonly pool: EnginePool;
  readonly plan: BatchPlan;
  readonly provider: ProviderState;
  readonly precision: PrecisionState;
}

/**
 * Starts the engines of a model, on CUDA where that is asked for or possible.
 *
 * CUDA is tried alone, in processes of its own; the CPU comes after it and only for `auto`.
 *
 * @throws Error that says which model cannot start, and why
 */
export async function openEngines(
  folder: string,
  { card, clock, ...options }: EngineOptions & { card: ModelCard; clock: Clock },
): Promise<OpenEngines> {
  const start: Start = { folder, card, clock, options };
  const requested = options.provider;
  if (requested === 'cpu')
    return { ...(await openOnCpu(start)), provider: { requested, active: 'cpu' } };
  const tried = await tryCuda(start);
  if ('pool' in tried) return { ...tried, provider: { requested, active: 'cuda' } };
  if (requested === 'cuda') {
    throw new Error(
      `Model ${card.name}: CUDA was asked for and cannot be used (${tried.reason}): ${tried.detail}`,
    );
  }
  return { ...(await openOnCpu(start)), provider: { requested, active: 'cpu', ...tried } };
}

interface Start {
  readonly folder: string;
  readonly card: ModelCard;
  readonly clock: Clock;
  readonly options: EngineOptions;
}

type Opened = Omit<OpenEngines, 'provider'>;

async function tryCuda(start: Start): Promise<Opened | ProviderFailure> {
  const failure = platformFailure(process.platform, process.arch) ?? missingProviderFile();
  if (failure !== undefined) return failure;
  try {
    return await openOn('cuda', start);
  } catch (error) {
    if (!(error instanceof EngineStartError)) throw error;
    return classifyCudaFailure(error.message, error.stderr);
  }
}

async function openOnCpu(start: Start): Promise<Opened> {
  try {
    return await openOn('cpu', start);
  } catch (error) {
    if (!(error instanceof EngineStartError)) throw error;
    const wrote = error.stderr.trim() === '' ? '' : `; it wrote: ${error.stderr.trim()}`;
    throw new Error(`Model ${start.card.name}: ${error.message}${wrote}`);
  }
}

async function openOn(
  provider: Provider,
  { folder, card, clock, options }: Start,
): Promise<Opened> {
  const precision = choosePrecision(card, options.precision, provider);
  const plan = choosePlan(card, options, provider);
  const graphs = graphSpecs(card, precision.active);
  const warmUpOptions: WarmUpOptions = {
    graphs: graphs.map(({ name }) => name),
    plan,
    shapes: options.warmup ? plan.shapes : [],
    referenceSamples: options.warmup ? card.windowSeconds * card.sampleRate : card.minSamples,
    sampleRate: card.sampleRate,
    minSamples: card.minSamples,
    reference: new Reference(),
    clock,
  };
  const results: WarmUpResult[] = [];
  const warmupMs = () => Math.max(...results.map((result) => result.warmupMs));
  const starts = engineSpecs(folder, { graphs, options, provider }).map(
    (spec) => async (signal: AbortSignal) => {
      const start = options.startEngine ?? startEngine;
      const { engine, result } = await startWarmEngine(start, { spec, signal, ...warmUpOptions });
      results.push(result);
      return engine;
    },
  );
  const selfTest = async (engine: Engine) => {
    const runTimeoutMs = Math.max(MIN_RUN_TIMEOUT_MS, WARMUPS_OF_A_RUN * warmupMs());
    await warmUp(engine, { ...warmUpOptions, shapes: [], runTimeoutMs });
  };
  const pool = await EnginePool.start({ starts, selfTest, clock });
  const msPerAudioSecond = Math.max(...results.map((result) => result.msPerAudioSecond));
  return { pool, plan, precision, warmupMs: warmupMs(), msPerAudioSecond };
}

function choosePlan(card: ModelCard, options: EngineOptions, provider: Provider): BatchPlan {
  const batching = options.batching ?? (provider === 'cuda' ? 'bucketed' : 'lone');
  if (batching === 'lone') return lonePlan;
  const { batchSizes: sizes, batchLengthsSeconds } = options;
  if (Math.max(...batchLengthsSeconds) < card.windowSeconds) {
    throw new Error(
      `Model ${card.name}: expected a batch length of at least its window of ${card.windowSeconds} s, got ${batchLengthsSeconds.join(', ')}`,
    );
  }
  const lengthsSamples = batchLengthsSeconds.map((seconds) =>
    Math.round(seconds * card.sampleRate),
  );
  return bucketedPlan({ sizes, lengthsSamples });
}

function engineSpecs(
  folder: string,
  {
    graphs,
    options,
    provider,
  }: { graphs: readonly GraphSpec[]; options: EngineOptions; provider: Provider },
): EngineSpec[] {
  const { engines, cudaDevices, intraOpThreads } = options;
  const deviceIds = provider === 'cuda' ? cudaDevices : Array.from({ length: engines }, () => 0);
  return deviceIds.map((deviceId) => ({
    folder,
    graphs,
    provider,
    deviceId,
    intraOpThreads,
    // One engine has nobody to share with.
    sharesWeights: provider === 'cpu' && engines > 1,
  }));
}

async function startWarmEngine(
  start: typeof startEngine,
  { spec, signal, ...options }: WarmUpOptions & { spec: EngineSpec; signal: AbortSignal },
): Promise<{ engine: Engine; result: WarmUpResult }> {
  const engine = await start(spec, { clock: options.clock, signal });
  const kill = () => engine.kill('crashed');
  signal.addEventListener('abort', kill, { once: true });
  try {
    return { engine, result: await warmUp(engine, options) };
  } catch (error) {
    engine.kill('run_failed');
    const { stderr } = await engine.ended;
    throw new EngineStartError((error as Error).message, stderr);
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
