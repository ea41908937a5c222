import type { AudioFacts } from '../audio/audio-facts.js';
import type {
  ClipFormat,
  DecodedClip,
  DecodedWindow,
  DecodePlan,
  Decoder,
} from '../audio/decode.js';
import type { ChannelChoice } from '../audio/heard-channels.js';
import { ServiceError } from '../errors.js';
import type { OutputName, WindowOutput } from '../inference/batch.js';
import type { Model } from '../inference/model.js';
import type { Stage } from '../metrics/clip-metrics.js';

export type { Decoder };

/** A clip as it was received: the bytes of one audio file, spooled. */
export interface ClipFile {
  readonly path: string;
  readonly bytes: number;
}

/** Hears where a clip is on its way, and how long each stage took. */
export interface AnalysisObserver {
  enter(stage: Stage): void;
  spent(stage: Stage, ms: number): void;
  decodeDone(format: ClipFormat, facts: AudioFacts): void;
  decodeFailed(error: unknown): void;
}

export interface AnalysisDeps {
  readonly decoder: Pick<Decoder, 'decode'>;
  readonly model: Model;
  /** Whose turns the windows take; undefined: the clip has its own. */
  readonly client?: string | undefined;
  readonly observer: AnalysisObserver;
  /** Drops the work; what was asked for is then rejected with its reason. */
  readonly signal: AbortSignal;
}

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

/** Windows in hand for each that the engines take at a time: they stay busy, and memory stays small. */
const WINDOWS_PER_PLACE = 2;

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
 * Decodes a clip, runs its windows and hands them on while the clip is still being read: memory does not grow with its
 * length. The windows of a channel come in their order.
 *
 * @param onWindow may take its time: the clip is not read much further meanwhile
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run; what `onWindow` throws
 */
export async function hearClip(
  clip: ClipFile,
  hearing: Hearing,
  onWindow: (window: HeardWindow) => void | Promise<void>,
  deps: AnalysisDeps,
): Promise<HeardClip> {
  const { model, client, observer, signal } = deps;
  const stream = model.open({ outputs: hearing.outputs, client, signal });
  const ahead = WINDOWS_PER_PLACE * model.engines * model.maxBatchWindows;
  const line = new WindowLine(ahead, (window) => stream.run(window), onWindow);
  try {
    const take = async (window: DecodedWindow) => {
      // Who waits for those that hear it makes nothing.
      stream.setMaking(false);
      await line.take(window);
      stream.setMaking(true);
    };
    const decoded = await decode(clip, hearing, take, deps);
    stream.setMaking(false);
    await line.finish();
    const { queueMs, inferenceMs } = stream.timings();
    observer.spent('queue', queueMs);
    observer.spent('inference', inferenceMs);
    return {
      format: decoded.format,
      facts: decoded.facts,
      audioSeconds: decoded.heardSeconds,
      windows: line.numTaken,
      channels: decoded.heardChannels,
    };
  } finally {
    stream.close();
    await line.settled();
  }
}

/** Windows between the decoder and whoever hears them: some at the engines at once, handed on in their order. */
class WindowLine {
  readonly #maxInHand: number;
  readonly #run: (window: DecodedWindow) => Promise<WindowOutput>;
  readonly #onWindow: (window: HeardWindow) => void | Promise<void>;
  /** Each ends when its window was handed on, and those before it. */
  readonly #inHand: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();
  numTaken = 0;

  constructor(
    maxInHand: number,
    run: (window: DecodedWindow) => Promise<WindowOutput>,
    onWindow: (window: HeardWindow) => void | Promise<void>,
  ) {
    this.#maxInHand = maxInHand;
    this.#run = run;
    this.#onWindow = onWindow;
  }

  /** Takes a window in; comes back when there is room for the next. */
  async take(window: DecodedWindow): Promise<void> {
    this.numTaken += 1;
    this.#last = this.#handOn(window, this.#run(window), this.#last);
    // Who waits for it sees the failure; nobody may be waiting yet.
    this.#last.catch(() => {});
    this.#inHand.push(this.#last);
    if (this.#inHand.length >= this.#maxInHand) await this.#inHand.shift();
  }

  /** Comes back when all windows were handed on. */
  async finish(): Promise<void> {
    await this.#last;
  }

  /** Comes back when nothing happens any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#last.catch(() => {});
  }

  async #handOn(
    window: DecodedWindow,
    ran: Promise<WindowOutput>,
    before: Promise<void>,
  ): Promise<void> {
    const [output] = await Promise.all([ran, before]);
    await this.#onWindow({ ...window, ...output });
  }
}

async function decode(
  { path, bytes }: ClipFile,
  hearing: Hearing,
  take: (window: DecodedWindow) => Promise<void>,
  { decoder, model, observer, signal }: AnalysisDeps,
): Promise<DecodedClip> {
  const startMs = performance.now();
  const progress: { firstMs?: number; isRefused?: boolean } = {};
  const onWindow = (window: DecodedWindow) => {
    if (progress.firstMs === undefined) observer.enter('inference');
    progress.firstMs ??= performance.now();
    return take(window).catch((error: unknown) => {
      progress.isRefused = true;
      throw error;
    });
  };
  observer.enter('decode');
  try {
    if (bytes === 0) throw new ServiceError('empty_audio', 'Expected an audio file, got 0 bytes');
    const decoded = await decoder.decode(path, planFor(hearing, model), { onWindow, signal });
    const { decodeMs, resampleMs } = decoded;
    // Until there is a window all waits for decoding, also for a thread: it would show nowhere else.
    const untilFirstMs = (progress.firstMs ?? startMs) - startMs;
    observer.spent('decode', Math.max(decodeMs, untilFirstMs - resampleMs));
    observer.spent('resample', resampleMs);
    observer.decodeDone(decoded.format, decoded.facts);
    return decoded;
  } catch (error) {
    if (!progress.isRefused) observer.decodeFailed(error);
    throw error;
  }
}

function planFor(hearing: Hearing, { card }: Model): DecodePlan {
  const { channel, startSeconds, endSeconds, short } = hearing;
  const { sampleRate, windowSeconds, minSamples } = card;
  return {
    channel,
    startSeconds,
    endSeconds,
    short,
    grid: { sampleRate, windowSeconds, minSamples },
  };
}

/** Runs `work` as a stage of its own. */
export function timed<T>(stage: Stage, observer: AnalysisObserver, work: () => T): T {
  observer.enter(stage);
  const startMs = performance.now();
  const result = work();
  observer.spent(stage, performance.now() - startMs);
  return result;
}
