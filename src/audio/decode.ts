import { entryPoint } from '../entry-point.js';
import { ServiceError } from '../errors.js';
import { acceptedFormats } from './codecs/unsupported-format.js';
import type { DecodedClip } from './decode-clip.js';
import { DecodeRun, DecoderLostError } from './decode-run.js';
import { DecodeThread } from './decode-thread.js';
import type { Ffmpeg } from './ffmpeg/ffmpeg.js';
import type { DecodedWindow, HearingPlan } from './window-builder.js';

export type { ClipFormat, DecodedClip } from './decode-clip.js';
export type { DecodedWindow } from './window-builder.js';

/** What of a clip is decoded, and the grid of its windows. */
export type DecodePlan = Omit<HearingPlan, 'maxClipSeconds'>;

/** Turns clips on disk into windows, away from the event loop. */
export interface Decoder {
  /** What it accepts, for people. */
  readonly formats: readonly string[];
  /** Null where there is none. */
  readonly ffmpegVersion: string | null;
  /**
   * Decodes one clip and hands its windows on while it is read.
   *
   * Clips wait for the threads in turn, but a clip whose windows are not taken lets others pass. A window that was
   * handed on is not handed on again, whatever becomes of the thread.
   *
   * @param path of a file whose content decides what it is
   * @param options `onWindow` may take its time; decoding stays a few windows ahead of it, no more
   * @throws ServiceError unsupported_format, undecodable_audio, empty_audio, clip_too_long, clip_too_short,
   *   range_outside_clip, invalid_value, decode_budget_exceeded; the signal's reason once it is aborted; what
   *   `onWindow` throws
   */
  decode(path: string, plan: DecodePlan, options: DecodeOptions): Promise<DecodedClip>;
  /** Ends the threads and with them what they are doing. */
  close(): Promise<void>;
}

interface DecodeOptions {
  readonly onWindow: (window: DecodedWindow) => void | Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

export interface DecoderOptions {
  readonly threads: number;
  /** Longest clip that is decoded; where only its beginning is wanted, that. */
  readonly maxClipSeconds: number;
  /** Time for the work on one clip; waiting does not count. */
  readonly timeoutMs: number;
  /** For what the built-in decoders lack; the decoder closes it. */
  readonly ffmpeg?: Ffmpeg | undefined;
  /** Entry of the threads; another one stands in for it where their end is tested. */
  readonly worker?: URL;
}

const MAX_ATTEMPTS = 2; // a decoder may end through no fault of its clip
const MAX_FAILED_STARTS = 3;

/** Starts the threads, which stay until the decoder is closed. */
export function createDecoder(options: DecoderOptions): Decoder {
  return new ThreadedDecoder(options);
}

class ThreadedDecoder implements Decoder {
  readonly formats: readonly string[];
  readonly ffmpegVersion: string | null;
  readonly #options: DecoderOptions;
  readonly #entry: URL;
  readonly #threads = new Set<DecodeThread>();
  readonly #waiting = new Set<DecodeRun>();
  readonly #running = new Set<DecodeRun>();
  #numFailedStarts = 0;
  #failure: Error | undefined;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.formats = acceptedFormats({ hasFfmpeg: options.ffmpeg !== undefined });
    this.ffmpegVersion = options.ffmpeg?.version ?? null;
    this.#entry = options.worker ?? entryPoint('./decode-worker', import.meta.url);
    for (let count = 0; count < options.threads; count++) this.#startThread();
  }

  async decode(path: string, plan: DecodePlan, options: DecodeOptions): Promise<DecodedClip> {
    const { maxClipSeconds, timeoutMs, ffmpeg } = this.#options;
    let numSkipped = 0;
    const onWindow = async (window: DecodedWindow) => {
      numSkipped += 1;
      await options.onWindow(window);
    };
    for (let attempt = 1; ; ) {
      const wholePlan = { ...plan, maxClipSeconds };
      const task = { path, plan: wholePlan, numSkipped, timeoutMs, ffmpeg, onWindow };
      try {
        return await this.#run(new DecodeRun(task), options.signal);
      } catch (error) {
        if (!(error instanceof DecoderLostError)) throw error;
        if (error.wasAtWork && attempt++ === MAX_ATTEMPTS) throw lostTwice();
      }
    }
  }

  async close(): Promise<void> {
    this.#fail(new ServiceError('draining', 'The decoder is closed'));
    await Promise.all([...this.#threads].map((thread) => thread.kill()));
    await this.#options.ffmpeg?.close();
  }

  async #run(run: DecodeRun, signal?: AbortSignal): Promise<DecodedClip> {
    signal?.throwIfAborted();
    if (this.#failure) throw this.#failure;
    const abort = () => run.stop(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiting.add(run);
    this.#dispatch();
    try {
      return await run.done;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#waiting.delete(run);
      this.#running.delete(run);
    }
  }

  /** Clips go, first come first served, to the thread with the fewest clips at work. */
  #dispatch(): void {
    for (const run of this.#waiting) {
      const [thread] = [...this.#threads]
        .filter(({ hasPlace }) => hasPlace)
        .sort((a, b) => a.numAtWork - b.numAtWork);
      if (!thread) return;
      this.#waiting.delete(run);
      this.#running.add(run);
      thread.run(run);
    }
  }

  #startThread(): void {
    const thread = new DecodeThread(this.#entry, () => this.#dispatch());
    this.#threads.add(thread);
    void thread.ended.then((error) => this.#onThreadEnd(thread, error));
  }

  /** A lost thread is replaced; but where none can start, clips would wait for ever. */
  #onThreadEnd(thread: DecodeThread, cause: Error): void {
    this.#threads.delete(thread);
    if (this.#failure) return;
    this.#numFailedStarts = thread.isReady ? 0 : this.#numFailedStarts + 1;
    if (this.#numFailedStarts === MAX_FAILED_STARTS) {
      this.#fail(new Error('Decode threads cannot start', { cause }));
      return;
    }
    this.#startThread();
    this.#dispatch();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const run of [...this.#waiting, ...this.#running]) run.stop(error);
  }
}

const lostTwice = (): ServiceError =>
  new ServiceError(
    'undecodable_audio',
    `Expected a decodable clip; its decoder ended ${MAX_ATTEMPTS} times`,
  );
