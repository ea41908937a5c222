import type { Window } from '../audio/window.js';
import { type BatchShape, type GraphName, type OutputName, toBatch } from './batch.js';
import type { BatchPlan } from './batch-plan.js';
import type { Clock } from './clock.js';
import type { Engine } from './engine-process.js';

/** What a warm-up found out. */
export interface WarmUpResult {
  readonly warmupMs: number;
  /** Of the reference window, run last, when all buffers are there; of the slowest graph. */
  readonly msPerAudioSecond: number;
}

export interface WarmUpOptions {
  readonly graphs: readonly GraphName[];
  readonly plan: BatchPlan;
  /** Shapes to run, in this order, before the reference window. */
  readonly shapes: readonly BatchShape[];
  readonly referenceSamples: number;
  readonly sampleRate: number;
  readonly minSamples: number;
  readonly reference: Reference;
  /** Most that one run may take, in milliseconds; the first ones on a device take long. */
  readonly runTimeoutMs?: number;
  readonly clock: Clock;
}

// Far above the noise between two engines, far below what a faulty device does.
const TOLERANCE = 1e-2;
const FIRST_RUN_TIMEOUT_MS = 300_000;
// A patch may lie between two codes, and then either is right.
const MAX_OTHER_TOKENS = 0.02;
const CHECKED_OUTPUTS: Readonly<Record<GraphName, readonly OutputName[]>> = {
  // The embedding too: a model that was never fine-tuned has no logits.
  encoder: ['clip_logits', 'clip_embedding'],
  tokenizer: ['tokens'],
};

/** A sound, and the numbers that every engine of a model has to give for it. */
export class Reference {
  readonly #expected = new Map<OutputName, Float32Array | Int16Array>();
  /** By their samples: making one takes as long as some graphs take to run it. */
  readonly #windows = new Map<number, Window>();

  /** The sound in so many samples. */
  window(numSamples: number, sampleRate: number): Window {
    const window = this.#windows.get(numSamples) ?? referenceWindow(numSamples, sampleRate);
    this.#windows.set(numSamples, window);
    return window;
  }

  /** @throws Error when the values are not those of the first engine that was checked */
  assertSame(output: OutputName, values: Float32Array | Int16Array): void {
    const expected = this.#expected.get(output) ?? values;
    this.#expected.set(output, expected);
    if (output === 'tokens') {
      assertSameTokens(expected, values);
      return;
    }
    for (const [i, value] of expected.entries()) {
      const got = values[i] ?? Number.NaN;
      // Written so that NaN fails.
      if (Math.abs(got - value) <= TOLERANCE * (1 + Math.abs(value))) continue;
      throw new Error(
        `The engine gives ${got} for ${output} ${i} of the reference sound, expected ${value}`,
      );
    }
  }
}

function assertSameTokens(
  expected: Float32Array | Int16Array,
  tokens: Float32Array | Int16Array,
): void {
  let numOther = 0;
  for (const [i, token] of expected.entries()) if (tokens[i] !== token) numOther += 1;
  if (numOther <= MAX_OTHER_TOKENS * expected.length) return;
  throw new Error(
    `The engine gives ${numOther} of ${expected.length} tokens of the reference sound otherwise than expected`,
  );
}

/**
 * Runs each graph of an engine in all shapes that it will meet, then on the reference sound.
 *
 * @throws Error when the numbers are not finite or not those of the other engines
 */
export async function warmUp(engine: Engine, options: WarmUpOptions): Promise<WarmUpResult> {
  const { graphs, clock } = options;
  const startMs = clock.nowMs();
  const rates: number[] = [];
  for (const graph of graphs) rates.push(await warmUpGraph(engine, graph, options));
  return { warmupMs: clock.nowMs() - startMs, msPerAudioSecond: Math.max(...rates) };
}

/** Milliseconds per second of the reference sound. */
async function warmUpGraph(
  engine: Engine,
  graph: GraphName,
  options: WarmUpOptions,
): Promise<number> {
  const { plan, shapes, referenceSamples, sampleRate, minSamples, reference } = options;
  const timeoutMs = options.runTimeoutMs ?? FIRST_RUN_TIMEOUT_MS;
  const outputs = CHECKED_OUTPUTS[graph];
  const run = async (shape: BatchShape, window: Window) => {
    const batch = toBatch([window], shape, minSamples);
    return engine.run(batch, { outputs, timeoutMs });
  };
  for (const shape of shapes) await run(shape, reference.window(shape.samples, sampleRate));
  const window = reference.window(referenceSamples, sampleRate);
  const { windows, inferenceMs } = await run(plan.shapeFor([window]), window);
  for (const output of outputs) {
    const values = windows[0]?.values[output];
    if (values === undefined)
      throw new Error('For the reference sound, expected finite numbers of the engine');
    reference.assertSame(output, values);
  }
  return inferenceMs / (window.samples.length / sampleRate);
}

/** A tone that climbs from 100 Hz to 6 kHz over a floor of noise: no band stays silent. */
function referenceWindow(numSamples: number, sampleRate: number): Window {
  const samples = new Float32Array(numSamples);
  let phase = 0;
  let noise = 1;
  for (let i = 0; i < numSamples; i++) {
    phase += (2 * Math.PI * 100 * 60 ** (i / numSamples)) / sampleRate;
    noise = (noise * 16_807) % 2_147_483_647;
    samples[i] = 0.3 * Math.sin(phase) + 0.1 * (noise / 2_147_483_647 - 0.5);
  }
  return { samples };
}
