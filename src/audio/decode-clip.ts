import { ServiceError } from '../errors.js';
import type { AudioFacts } from './audio-facts.js';
import { ClipFile } from './clip-file.js';
import { chooseCodec } from './codecs/choose-codec.js';
import type { Codec } from './codecs/codec.js';
import { ffmpegCodec, type OpenFfmpeg } from './codecs/ffmpeg.js';
import { unsupportedFormat } from './codecs/unsupported-format.js';
import { type ClipContent, sniffContent } from './sniff.js';
import { type DecodedWindow, type HearingPlan, WindowBuilder } from './window-builder.js';

/** What the clip was before it was decoded. */
export interface ClipFormat {
  readonly container: string;
  readonly codec: string;
  readonly decoder: string;
  readonly sampleRate: number;
  readonly channels: number;
  /** As far as it was decoded. */
  readonly durationSeconds: number;
}

/** What is known of a clip when its last window was given. */
export interface DecodedClip {
  readonly format: ClipFormat;
  readonly facts: AudioFacts;
  /** Length of what was heard, of one channel. */
  readonly heardSeconds: number;
  /** Indices of the channels that were heard; 0 for the mean of all. */
  readonly heardChannels: readonly number[];
  /** Time for reading, decoding and mixing, without resampling and without waiting for whoever takes the windows. */
  readonly decodeMs: number;
  readonly resampleMs: number;
}

export interface DecodeDeps {
  /** Takes the windows in their order; decoding goes on when it has come back. */
  readonly onWindow: (window: DecodedWindow) => Promise<void> | void;
  /** Called between pieces of work, so that others of the same thread have their turn. */
  readonly giveWay?: (() => Promise<void> | void) | undefined;
  /** For what the built-in decoders lack. */
  readonly openFfmpeg?: OpenFfmpeg | undefined;
}

/**
 * Decodes one clip in this thread and hands its windows on while it is read: memory does not grow with its length.
 *
 * @throws ServiceError unsupported_format, undecodable_audio, empty_audio, clip_too_long, clip_too_short,
 *   range_outside_clip, invalid_value; what `onWindow` and `giveWay` throw; nothing else for any bytes
 */
export async function decodeClip(
  path: string,
  plan: HearingPlan,
  deps: DecodeDeps,
): Promise<DecodedClip> {
  const file = new ClipFile(path);
  try {
    if (file.sizeBytes === 0) throw new ServiceError('empty_audio', 'Expected audio, got 0 bytes');
    const content = sniffContent((offset, length) => file.readAt(offset, length));
    return await decodeContent(file, { content, plan, deps });
  } finally {
    file.close();
  }
}

interface Work {
  readonly content: ClipContent;
  readonly plan: HearingPlan;
  readonly deps: DecodeDeps;
}

/** What the built-in decoders refuse, ffmpeg decodes, where there is one. */
async function decodeContent(file: ClipFile, work: Work): Promise<DecodedClip> {
  const { openFfmpeg } = work.deps;
  try {
    return await new Decoding(chooseCodec(work.content), work).run(file);
  } catch (error) {
    const isLacking = error instanceof ServiceError && error.code === 'unsupported_format';
    if (!isLacking || !openFfmpeg) throw error;
    const content = { ...work.content, codec: String(error.extensions.codec) };
    if (error.extensions.needs === undefined)
      throw unsupportedFormat({ ...content, hasFfmpeg: true });
    return await new Decoding(ffmpegCodec(openFfmpeg), { ...work, content }).run(file);
  }
}

/** One clip on its way through one codec. */
class Decoding {
  readonly #codec: Codec;
  readonly #work: Work;
  readonly #builder: WindowBuilder;
  #startMs = performance.now();
  #waitedMs = 0;

  constructor(codec: Codec, work: Work) {
    this.#codec = codec;
    this.#work = work;
    this.#builder = new WindowBuilder(work.plan);
  }

  async run(file: ClipFile): Promise<DecodedClip> {
    const { content } = this.#work;
    this.#startMs = performance.now();
    const pieces = file.readPieces(content.audioOffset, this.#codec.pieceBytes);
    for await (const chunk of this.#decode(pieces)) {
      await this.#handOn(this.#builder.push(chunk));
      if (this.#builder.isOver) break;
      const turn = this.#work.deps.giveWay?.();
      if (turn) await this.#wait(turn);
    }
    const { windows, clip } = this.#builder.finish();
    await this.#handOn(windows);
    return this.#describe(clip);
  }

  /** Decoders meet damage with traps, undefined names and range errors: none of it is ours or the client's to read. */
  async *#decode(pieces: AsyncIterable<Uint8Array>) {
    const { content } = this.#work;
    try {
      yield* this.#codec.decode(pieces, content);
    } catch (error) {
      throw error instanceof ServiceError ? error : brokenStream(content, error);
    }
  }

  async #handOn(windows: readonly DecodedWindow[]): Promise<void> {
    for (const window of windows) {
      const taken = this.#work.deps.onWindow(window);
      if (taken) await this.#wait(taken);
    }
  }

  async #wait(promise: Promise<void>): Promise<void> {
    const startMs = performance.now();
    await promise;
    this.#waitedMs += performance.now() - startMs;
  }

  #describe(clip: ReturnType<WindowBuilder['finish']>['clip']): DecodedClip {
    const { codec, sampleRate, channels, durationSeconds, resampleMs, ...heard } = clip;
    const { container } = this.#work.content;
    const { decoder } = this.#codec;
    const totalMs = performance.now() - this.#startMs;
    return {
      format: { container, codec, decoder, sampleRate, channels, durationSeconds },
      facts: heard.facts,
      heardSeconds: heard.heardSeconds,
      heardChannels: heard.heardChannels,
      decodeMs: Math.max(0, totalMs - resampleMs - this.#waitedMs),
      resampleMs,
    };
  }
}

function brokenStream({ container, codec }: ClipContent, cause: unknown): ServiceError {
  const error = new ServiceError(
    'undecodable_audio',
    `Expected ${codec} in ${container}, as the first bytes say; its decoder gave up`,
  );
  error.cause = cause;
  return error;
}
