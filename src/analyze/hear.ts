import { type AudioFacts, measureAudio } from '../audio/audio-facts.js';
import type { ClipFormat, Decoder } from '../audio/decode.js';
import { durationSeconds, type Waveform } from '../audio/waveform.js';
import { splitIntoWindows } from '../audio/window.js';
import { ServiceError } from '../errors.js';
import type { OutputName, WindowOutput } from '../inference/batch.js';
import type { Model } from '../inference/model.js';
import type { Stage } from '../metrics/clip-metrics.js';

export type { AudioFacts, ClipFormat, Decoder };

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

/** Which channels of a clip are heard: their mean, one of them, or each by itself. */
export type ChannelChoice = 'mix' | 'left' | 'right' | 'each';

/** What of a clip is heard, and what is wanted of it. */
export interface Hearing {
  readonly outputs: readonly OutputName[];
  readonly channel: ChannelChoice;
  readonly startSeconds: number;
  /** Undefined: to the end. */
  readonly endSeconds?: number | undefined;
  /** What becomes of less than one row (0.175 s). */
  readonly short: 'reject' | 'pad';
}

/** The whole clip as one channel. */
export const WHOLE_CLIP: Omit<Hearing, 'outputs'> = {
  channel: 'mix',
  startSeconds: 0,
  short: 'reject',
};

/** Length of a row of the clip's grid: row r starts at `startSeconds` of the hearing + r * 0.16 on the source's clock. */
export const ROW_SECONDS = 0.16;

/** One window of one channel, in order of time within its channel: the rows of all windows form one seamless grid. */
export interface HeardWindow {
  /** Of the source for left, right and each; 0 for mix. */
  readonly channel: number;
  /** 0, 1, ... within the channel. */
  readonly index: number;
  /** Row of the clip's grid that is this window's first. */
  readonly firstRow: number;
  /** Valid rows. */
  readonly rows: number;
  /** On the source's clock: the start of the hearing is included. */
  readonly startSeconds: number;
  readonly endSeconds: number;
  /** At the model's rate; overlaps the next window by 0.08 s. */
  readonly samples: Float32Array;
  /** Of the outputs that were asked for. */
  readonly values: WindowOutput['values'];
}

export interface HeardClip {
  readonly format: ClipFormat;
  readonly facts: AudioFacts;
  /** Length of what was heard, of one channel. */
  readonly audioSeconds: number;
  /** Of all channels together. */
  readonly windows: number;
  /** The channels that were heard, as `HeardWindow.channel` names them. */
  readonly channels: readonly number[];
}

/**
 * Decodes a clip, runs its windows and hands them on, the windows of a channel in their order.
 *
 * @param onWindow may take its time: the next window of any channel waits for it
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run; what `onWindow` throws
 */
export async function hearClip(
  clip: ClipFile,
  hearing: Hearing,
  onWindow: (window: HeardWindow) => void | Promise<void>,
  deps: AnalysisDeps,
): Promise<HeardClip> {
  const { model, observer, signal } = deps;
  const { waveform, format } = await decode(clip, deps);
  const windows = splitIntoWindows(waveform, model.card);
  observer.enter('inference');
  const outputs = await model.run(windows, {
    outputs: hearing.outputs,
    signal,
    onTimings({ queueMs, inferenceMs }) {
      observer.spent('queue', queueMs);
      observer.spent('inference', inferenceMs);
    },
  });
  let firstRow = 0;
  for (const [index, { rows, values }] of outputs.entries()) {
    const { samples, startSeconds, durationSeconds: seconds } = windows[index]!;
    const endSeconds = startSeconds + seconds;
    await onWindow({
      channel: 0,
      index,
      firstRow,
      rows,
      startSeconds,
      endSeconds,
      samples,
      values,
    });
    firstRow += rows;
  }
  const facts = measureAudio(waveform.samples);
  return {
    format,
    facts,
    audioSeconds: durationSeconds(waveform),
    windows: windows.length,
    channels: [0],
  };
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

/** Runs `work` as a stage of its own. */
export function timed<T>(stage: Stage, observer: AnalysisObserver, work: () => T): T {
  observer.enter(stage);
  const startMs = performance.now();
  const result = work();
  observer.spent(stage, performance.now() - startMs);
  return result;
}
