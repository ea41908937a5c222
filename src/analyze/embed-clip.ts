import { ServiceError } from '../errors.js';
import { largestOfRows, toUnitLength } from '../outputs/embedding.js';
import { createMax, createMean, type Pool } from '../outputs/pool.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type HeardWindow,
  type Hearing,
  hearClip,
  ROW_SECONDS,
  timed,
} from './hear.js';

/** What one vector stands for. */
type Granularity = 'clip' | 'window' | 'row';
/** How the rows of a clip or window make one vector. */
type Pooling = 'mean' | 'max';

export interface EmbeddingOptions {
  readonly hearing: Omit<Hearing, 'outputs'>;
  /** Whether each vector is scaled to unit length. */
  readonly normalize: boolean;
  /** `clip` unless told otherwise. */
  readonly granularity?: Granularity;
  /** `mean` unless told otherwise. */
  readonly pooling?: Pooling;
  /** Most numbers that the answer may hold. */
  readonly maxValues?: number;
}

export interface Embedding {
  /** As `HeardWindow.channel` names it. */
  readonly channel: number;
  /** On the source's clock. */
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** (embedding dim) */
  readonly vector: Float32Array;
}

export interface EmbeddedClip extends HeardClip {
  /** Channel by channel, in order of time; never none. */
  readonly embeddings: readonly Embedding[];
}

/**
 * The vectors of a clip: one of all of it, or one of each window or row (0.16 s).
 *
 * @throws ServiceError that says what is wrong with the clip, why it could not be run, or that the
 *   answer would be too long
 */
export async function embedClip(
  clip: ClipFile,
  options: EmbeddingOptions,
  deps: AnalysisDeps,
): Promise<EmbeddedClip> {
  const { hearing, normalize, granularity = 'clip', pooling = 'mean', maxValues } = options;
  const dim = deps.model.card.embeddingDim;
  const gather = GATHERERS[granularity]({ pooling, dim, startSeconds: hearing.startSeconds });
  const needsRows = granularity === 'row' || pooling === 'max';
  const outputs = [needsRows ? 'row_embeddings' : 'clip_embedding'] as const;
  const onWindow = (window: HeardWindow) => {
    const numValues = gather.add(window) * dim;
    if (maxValues !== undefined && numValues > maxValues) throw tooManyValues(maxValues);
  };
  const heard = await hearClip(clip, { ...hearing, outputs }, onWindow, deps);
  const embeddings = timed('postprocess', deps.observer, () =>
    gather
      .embeddings(heard.audioSeconds)
      .toSorted((a, b) => a.channel - b.channel)
      .map((each) => (normalize ? { ...each, vector: toUnitLength(each.vector) } : each)),
  );
  return { ...heard, embeddings };
}

interface GatherOptions {
  readonly pooling: Pooling;
  readonly dim: number;
  /** Where the hearing begins. */
  readonly startSeconds: number;
}

/** Takes the windows of a clip and keeps what the answer needs of them. */
interface Gatherer {
  /** @returns number of vectors so far */
  add(window: HeardWindow): number;
  /** In order of time within each channel. */
  embeddings(audioSeconds: number): readonly Embedding[];
}

const GATHERERS: Record<Granularity, (options: GatherOptions) => Gatherer> = {
  clip({ pooling, dim, startSeconds }) {
    const pools = new Map<number, Pool>();
    return {
      add(window) {
        const pool = pools.get(window.channel) ?? (pooling === 'mean' ? createMean() : createMax());
        pools.set(window.channel, pool);
        pool.add(windowVector(window, { pooling, dim }), window.rows);
        return pools.size;
      },
      embeddings: (audioSeconds) =>
        [...pools].map(([channel, pool]) => ({
          channel,
          startSeconds,
          endSeconds: startSeconds + audioSeconds,
          vector: pool.result(),
        })),
    };
  },
  window: (options) =>
    pieces((window) => [{ ...placeOf(window), vector: windowVector(window, options) }]),
  row: (options) => pieces((window) => rowVectors(window, options)),
};

/** Every window leaves vectors of its own. */
function pieces(embed: (window: HeardWindow) => Embedding[]): Gatherer {
  const embeddings: Embedding[] = [];
  return {
    add: (window) => embeddings.push(...embed(window)),
    embeddings: () => embeddings,
  };
}

function windowVector(
  { values }: HeardWindow,
  { pooling, dim }: Pick<GatherOptions, 'pooling' | 'dim'>,
): Float32Array {
  if (pooling === 'mean') return values.clip_embedding ?? missing('clip_embedding');
  return largestOfRows(values.row_embeddings ?? missing('row_embeddings'), dim);
}

function rowVectors(
  { channel, firstRow, rows, values }: HeardWindow,
  { dim, startSeconds }: GatherOptions,
): Embedding[] {
  const vectors = values.row_embeddings ?? missing('row_embeddings');
  return Array.from({ length: rows }, (_, row) => ({
    channel,
    startSeconds: startSeconds + (firstRow + row) * ROW_SECONDS,
    endSeconds: startSeconds + (firstRow + row + 1) * ROW_SECONDS,
    vector: vectors.subarray(row * dim, (row + 1) * dim),
  }));
}

const placeOf = ({ channel, startSeconds, endSeconds }: HeardWindow) => ({
  channel,
  startSeconds,
  endSeconds,
});

function missing(output: string): never {
  throw new Error(`Expected ${output} of every window`);
}

function tooManyValues(maxValues: number): ServiceError {
  const parameter = 'granularity';
  const detail = `Expected vectors of at most ${maxValues} numbers together, got more: ask for windows or the clip, or for a part of it by start_seconds and end_seconds`;
  return new ServiceError('invalid_value', `${parameter}: ${detail}`, {
    errors: [{ parameter, detail }],
    limits: { max_embedding_values: maxValues },
  });
}
