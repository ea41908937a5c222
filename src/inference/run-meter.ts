import type { Batch, BatchShape, GraphName } from './batch.js';

export interface RunMeterOptions {
  readonly sampleRate: number;
  /** Run time per second of audio, from the warm-up. */
  readonly msPerAudioSecond: number;
  /** Limit for any run; by default ten times what the warm-up took, at least 10 s. */
  readonly engineRunTimeoutMs: number | undefined;
  /** Shapes that every graph was run in while warming up; empty when shapes are not fixed. */
  readonly warmedShapes: readonly BatchShape[];
  readonly graphs: readonly GraphName[];
  readonly hasFixedShapes: boolean;
}

/** One run that gave rows, in seconds of audio. */
export interface RunEvent {
  /** `SIZExSECONDS` of a batch of fixed shape, `lone` for a single window of its true length. */
  readonly bucket: string;
  readonly windows: number;
  readonly audioSeconds: number;
  /** Seconds of padding that were computed too. */
  readonly paddedSeconds: number;
  /** Time inside the session, in milliseconds. */
  readonly inferenceMs: number;
  /** True when a batch of this fixed shape was neither warmed up nor run before. */
  readonly firstShape: boolean;
}

const TIMEOUT_FACTOR = 10;
const MIN_TIMEOUT_MS = 10_000;
const SHARE_OF_NEWEST = 0.2;

/** Knows what runs cost: how long one may take, and when those that wait will be done. */
export class RunMeter {
  readonly #options: RunMeterOptions;
  /** Graph and bucket. */
  readonly #shapesRun: Set<string>;
  #msPerAudioSecond: number;

  constructor(options: RunMeterOptions) {
    this.#options = options;
    const { warmedShapes, graphs } = options;
    this.#shapesRun = new Set(
      graphs.flatMap((graph) => warmedShapes.map((shape) => `${graph} ${this.#bucketOf(shape)}`)),
    );
    this.#msPerAudioSecond = options.msPerAudioSecond;
  }

  /** Seconds of so many samples. */
  seconds(samples: number): number {
    return samples / this.#options.sampleRate;
  }

  /** When a run of this shape is taken for stuck, in milliseconds. */
  timeoutMs({ size, samples }: BatchShape): number {
    const { engineRunTimeoutMs, msPerAudioSecond } = this.#options;
    const expectedMs = msPerAudioSecond * this.seconds(size * samples);
    return engineRunTimeoutMs ?? Math.max(MIN_TIMEOUT_MS, TIMEOUT_FACTOR * expectedMs);
  }

  /** Counts a run in; of the rate, newer runs make up more. */
  record(batch: Batch, inferenceMs: number, graph: GraphName): RunEvent {
    const windows = batch.numWindows;
    const validSamples = batch.numSamples.slice(0, windows).reduce((sum, n) => sum + n, 0);
    const audioSeconds = this.seconds(validSamples);
    const newest = inferenceMs / audioSeconds;
    this.#msPerAudioSecond += SHARE_OF_NEWEST * (newest - this.#msPerAudioSecond);
    const paddedSeconds = this.seconds(batch.size * batch.samples - validSamples);
    return { ...this.#shapeRun(batch, graph), windows, audioSeconds, paddedSeconds, inferenceMs };
  }

  /** Whole seconds until so much audio is done, at least 1: a value for `Retry-After`. */
  secondsToDrain(audioSeconds: number, engines: number): number {
    const ms = (audioSeconds * this.#msPerAudioSecond) / Math.max(1, engines);
    return Math.max(1, Math.ceil(ms / 1000));
  }

  #shapeRun(batch: Batch, graph: GraphName): Pick<RunEvent, 'bucket' | 'firstShape'> {
    if (!this.#options.hasFixedShapes) return { bucket: 'lone', firstShape: false };
    const bucket = this.#bucketOf(batch);
    const firstShape = !this.#shapesRun.has(`${graph} ${bucket}`);
    this.#shapesRun.add(`${graph} ${bucket}`);
    return { bucket, firstShape };
  }

  #bucketOf({ size, samples }: BatchShape): string {
    return `${size}x${this.seconds(samples)}`;
  }
}
