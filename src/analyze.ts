import type { ClipFormat, Decoder } from './audio/decode.js';
import { durationSeconds, type Waveform } from './audio/waveform.js';
import { splitIntoWindows } from './audio/window.js';
import { ServiceError } from './errors.js';
import type { OutputName, WindowOutput } from './inference/batch.js';
import type { Model } from './inference/model.js';
import type { Stage } from './metrics/clip-metrics.js';
import { aggregateWindows } from './outputs/aggregate.js';
import { toUnitLength } from './outputs/embedding.js';
import { toScores } from './outputs/scores.js';
import { type Tag, type TagOptions, toTags } from './outputs/tags.js';

export type { ClipFormat, Decoder };

/** A clip as it was received: the bytes of one audio file, spooled. */
export interface ClipFile {
  readonly path: string;
  readonly bytes: number;
}

/** Hears where a clip is on its way, and how long each stage took. */
export interface AnalysisObserver {
  enter(stage: Stage): void;
  spent(stage: Stage, ms: number): void;
  decodeDone(format: ClipFormat): void;
  decodeFailed(error: unknown): void;
}

export interface AnalysisDeps {
  readonly decoder: Pick<Decoder, 'decode'>;
  readonly model: Model;
  readonly observer: AnalysisObserver;
  /** Drops the work; what was asked for is then rejected with its reason. */
  readonly signal: AbortSignal;
}

interface HeardClip {
  readonly format: ClipFormat;
  readonly audioSeconds: number;
  readonly outputs: readonly WindowOutput[];
}

export interface TaggedClip {
  readonly format: ClipFormat;
  readonly audioSeconds: number;
  readonly windows: number;
  readonly tags: readonly Tag[];
}

export interface EmbeddedClip {
  readonly format: ClipFormat;
  readonly audioSeconds: number;
  readonly windows: number;
  /** (embedding dim) */
  readonly embedding: Float32Array;
}

/**
 * What can be heard in a clip, over all of it.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run
 */
export async function tagClip(
  clip: ClipFile,
  options: Pick<TagOptions, 'topK' | 'threshold'>,
  deps: AnalysisDeps,
): Promise<TaggedClip> {
  const { outputs, ...heard } = await hear(clip, 'clip_logits', deps);
  const { labels, activation } = deps.model.card;
  const tags = timed('postprocess', deps.observer, () => {
    const scores = toScores(aggregateWindows(outputs, 'clip_logits'), activation);
    return toTags(scores, labels, options);
  });
  return { ...heard, windows: outputs.length, tags };
}

/**
 * One vector for a clip: the mean over all of its rows.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run
 */
export async function embedClip(
  clip: ClipFile,
  { normalize }: { normalize: boolean },
  deps: AnalysisDeps,
): Promise<EmbeddedClip> {
  const { outputs, ...heard } = await hear(clip, 'clip_embedding', deps);
  const embedding = timed('postprocess', deps.observer, () => {
    const mean = aggregateWindows(outputs, 'clip_embedding');
    return normalize ? toUnitLength(mean) : mean;
  });
  return { ...heard, windows: outputs.length, embedding };
}

/** Decodes a clip and runs its windows; the way that every answer about audio takes. */
async function hear(clip: ClipFile, output: OutputName, deps: AnalysisDeps): Promise<HeardClip> {
  const { model, observer, signal } = deps;
  const { waveform, format } = await decode(clip, deps);
  const windows = splitIntoWindows(waveform, model.card);
  observer.enter('inference');
  const outputs = await model.run(windows, {
    outputs: [output],
    signal,
    onTimings({ queueMs, inferenceMs }) {
      observer.spent('queue', queueMs);
      observer.spent('inference', inferenceMs);
    },
  });
  return { format, audioSeconds: durationSeconds(waveform), outputs };
}

async function decode(
  { path, bytes }: ClipFile,
  { decoder, observer, signal }: AnalysisDeps,
): Promise<{ waveform: Waveform; format: ClipFormat }> {
  observer.enter('decode');
  const startMs = performance.now();
  try {
    if (bytes === 0) throw new ServiceError('empty_audio', 'Expected an audio file, got 0 bytes');
    const { waveform, format, resampleMs } = await decoder.decode(path, { signal });
    // The wait for a free thread counts as decoding: otherwise it would show nowhere.
    observer.spent('decode', performance.now() - startMs - resampleMs);
    observer.spent('resample', resampleMs);
    observer.decodeDone(format);
    return { waveform, format };
  } catch (error) {
    observer.decodeFailed(error);
    throw error;
  }
}

function timed<T>(stage: Stage, observer: AnalysisObserver, work: () => T): T {
  observer.enter(stage);
  const startMs = performance.now();
  const result = work();
  observer.spent(stage, performance.now() - startMs);
  return result;
}
