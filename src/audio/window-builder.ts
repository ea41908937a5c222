import { ServiceError } from '../errors.js';
import { type AudioFacts, AudioMeter } from './audio-facts.js';
import type { PcmChunk } from './codecs/codec.js';
import { type ChannelChoice, heardChannels, takeChannels, toSignals } from './heard-channels.js';
import { clampSamples } from './mix-to-mono.js';
import { createResampler, type Resampler } from './resample.js';
import { type CutWindow, WindowCutter, type WindowGrid } from './window.js';

const [MIN_RATE_HZ, MAX_RATE_HZ] = [1_000, 768_000];
/** Of all channels together, for each second of the longest clip: six channels at 48 kHz, or three at 96 kHz. */
const MAX_SAMPLES_PER_SECOND = 6 * 48_000;

/** What of a clip is heard, and how the windows are to be. */
export interface HearingPlan {
  readonly channel: ChannelChoice;
  readonly startSeconds: number;
  /** Undefined: to the end. */
  readonly endSeconds?: number | undefined;
  /** What becomes of less than one row. */
  readonly short: 'reject' | 'pad';
  readonly grid: WindowGrid;
  /** Longest clip that is decoded, skipped parts included. */
  readonly maxClipSeconds: number;
}

/** One window of one channel that is heard; times are on the source's clock. */
export interface DecodedWindow extends CutWindow {
  /** Of the source; 0 for the mean of all. */
  readonly channel: number;
}

export interface BuiltClip {
  readonly codec: string;
  /** Of the source, as its first chunk had it. */
  readonly sampleRate: number;
  readonly channels: number;
  /** As far as it was decoded. */
  readonly durationSeconds: number;
  /** Length of what was heard, of one channel. */
  readonly heardSeconds: number;
  readonly heardChannels: readonly number[];
  readonly facts: AudioFacts;
  readonly resampleMs: number;
}

/** The signal of one channel on its way to windows. */
interface Voice {
  readonly channel: number;
  readonly cutter: WindowCutter;
  resampler: Resampler;
}

/** Builds the windows of a clip while it is decoded. Holds one window for each channel that is heard, and no more. */
export class WindowBuilder {
  readonly #plan: HearingPlan;
  readonly #meter = new AudioMeter();
  readonly #maxSamples: number;
  #source: Pick<BuiltClip, 'sampleRate' | 'channels'> | undefined;
  #codec = '';
  #heard: readonly number[] = [];
  #voices: Voice[] | undefined;
  #sampleRate = 0;
  /** Samples at the present rate, and the length of what came at rates before it. */
  #numSamples = 0;
  #earlierSeconds = 0;
  /** Samples of all channels, at whatever rates: what decoding costs. */
  #numAllSamples = 0;
  /** The same of what was heard. */
  #numHeard = 0;
  #earlierHeardSeconds = 0;
  #resampleMs = 0;

  constructor(plan: HearingPlan) {
    this.#plan = plan;
    this.#maxSamples = plan.maxClipSeconds * MAX_SAMPLES_PER_SECOND;
  }

  /** Whether the end of what is to be heard has come. */
  get isOver(): boolean {
    const { endSeconds } = this.#plan;
    return (
      endSeconds !== undefined &&
      this.#source !== undefined &&
      this.#samplesUntil(endSeconds, 1) === 0
    );
  }

  /**
   * Takes the next samples of the clip.
   *
   * @returns the windows that they fill
   * @throws ServiceError clip_too_long, undecodable_audio, invalid_value
   */
  push(chunk: PcmChunk): DecodedWindow[] {
    const numSamples = chunk.channels[0]?.length ?? 0;
    if (numSamples === 0) return [];
    this.#meet(chunk);
    const windows = chunk.sampleRate === this.#sampleRate ? [] : this.#changeRate(chunk.sampleRate);
    const [first, last] = [this.#plan.startSeconds, this.#plan.endSeconds ?? Infinity].map(
      (seconds) => this.#samplesUntil(seconds, numSamples),
    ) as [number, number];
    this.#numSamples += last;
    this.#numAllSamples += last * chunk.channels.length;
    if (this.#durationSeconds > this.#plan.maxClipSeconds) throw tooLong(this.#plan);
    if (this.#numAllSamples > this.#maxSamples) throw tooManySamples(this.#plan, this.#maxSamples);
    if (first < last) windows.push(...this.#hear(chunk.channels, first, last));
    return windows;
  }

  /**
   * Ends the clip.
   *
   * @returns the windows in what is left
   * @throws ServiceError empty_audio, range_outside_clip, clip_too_short
   */
  finish(): { windows: DecodedWindow[]; clip: BuiltClip } {
    if (!this.#source) throw new ServiceError('empty_audio', 'Expected audio, found no sample');
    if (!this.#voices) throw this.isOver ? tooShort(this.#plan, 0) : this.#outside();
    const windows = this.#flush(this.#voices);
    const clip = {
      ...this.#source,
      codec: this.#codec,
      durationSeconds: this.#durationSeconds,
      heardSeconds: this.#heardSeconds,
      heardChannels: this.#heard,
      facts: this.#meter.facts(),
      resampleMs: this.#resampleMs,
    };
    return { windows, clip };
  }

  get #durationSeconds(): number {
    return this.#earlierSeconds + this.#secondsOf(this.#numSamples);
  }

  get #heardSeconds(): number {
    return this.#earlierHeardSeconds + this.#secondsOf(this.#numHeard);
  }

  /** At the present rate; there is none before the first sample. */
  #secondsOf(samples: number): number {
    return samples === 0 ? 0 : samples / this.#sampleRate;
  }

  /** The latest chunk knows the codec best; the first one tells the rest. */
  #meet({ codec, sampleRate, channels }: PcmChunk): void {
    this.#codec = codec;
    if (this.#source) return;
    this.#heard = heardChannels(this.#plan.channel, channels.length);
    this.#source = { sampleRate, channels: channels.length };
  }

  /** How many of the next `count` samples lie before a time. */
  #samplesUntil(seconds: number, count: number): number {
    const samples = Math.round((seconds - this.#earlierSeconds) * this.#sampleRate);
    return Math.min(count, Math.max(0, samples - this.#numSamples));
  }

  #hear(channels: readonly Float32Array[], first: number, last: number): DecodedWindow[] {
    const { channel } = this.#plan;
    const taken = takeChannels(channel, this.#heard, channels).map((samples) =>
      clampSamples(samples.subarray(first, last)),
    );
    this.#meter.push(taken, this.#sampleRate);
    this.#voices ??= this.#heard.map((name) => this.#newVoice(name));
    this.#numHeard += last - first;
    const signals = toSignals(channel, taken);
    return this.#voices.flatMap((voice, index) =>
      this.#cut(voice, (resampler) => resampler.push(signals[index]!)),
    );
  }

  /** Chained streams may go on at another rate: the next samples begin where the last ones end. */
  #changeRate(sampleRate: number): DecodedWindow[] {
    assertRate(sampleRate);
    const windows = (this.#voices ?? []).flatMap((voice) =>
      this.#cut(voice, (resampler) => resampler.flush()),
    );
    [this.#earlierSeconds, this.#numSamples] = [this.#durationSeconds, 0];
    [this.#earlierHeardSeconds, this.#numHeard] = [this.#heardSeconds, 0];
    this.#sampleRate = sampleRate;
    for (const voice of this.#voices ?? []) {
      voice.resampler = this.#newResampler();
      voice.cutter.setClock({
        startSeconds: this.#heardSeconds,
        samplesPerSecond: voice.resampler.outputHz,
      });
    }
    return windows;
  }

  #newVoice(channel: number): Voice {
    const resampler = this.#newResampler();
    const clock = { startSeconds: 0, samplesPerSecond: resampler.outputHz };
    return { channel, resampler, cutter: new WindowCutter(this.#plan.grid, clock) };
  }

  #newResampler(): Resampler {
    const started = performance.now();
    const toHz = this.#plan.grid.sampleRate;
    const resampler = createResampler({ fromHz: this.#sampleRate, toHz });
    this.#resampleMs += performance.now() - started;
    return resampler;
  }

  #cut(voice: Voice, run: (resampler: Resampler) => Float32Array): DecodedWindow[] {
    const started = performance.now();
    // The filter rings beyond full scale.
    const samples = clampSamples(run(voice.resampler));
    this.#resampleMs += performance.now() - started;
    return voice.cutter.push(samples).map((window) => this.#place(window, voice));
  }

  #flush(voices: readonly Voice[]): DecodedWindow[] {
    const pad = this.#plan.short === 'pad';
    const windows = voices.flatMap((voice) => [
      ...this.#cut(voice, (resampler) => resampler.flush()),
      ...voice.cutter
        .flush(this.#heardSeconds, { pad })
        .map((window) => this.#place(window, voice)),
    ]);
    const isShort = windows.length === 0 && !voices.some(({ cutter }) => cutter.hasCut);
    if (isShort) throw tooShort(this.#plan, this.#heardSeconds);
    return windows;
  }

  #place(window: CutWindow, { channel }: Voice): DecodedWindow {
    const { startSeconds } = this.#plan;
    return {
      ...window,
      channel,
      startSeconds: startSeconds + window.startSeconds,
      endSeconds: startSeconds + window.endSeconds,
    };
  }

  #outside(): ServiceError {
    const { startSeconds } = this.#plan;
    const seconds = Number(this.#durationSeconds.toFixed(3));
    const detail = `Expected less than the ${seconds} s of the clip, got ${startSeconds}`;
    return new ServiceError('range_outside_clip', `start_seconds: ${detail}`, {
      duration_seconds: seconds,
      errors: [{ parameter: 'start_seconds', detail }],
    });
  }
}

function assertRate(sampleRate: number): void {
  if (sampleRate >= MIN_RATE_HZ && sampleRate <= MAX_RATE_HZ) return;
  throw new ServiceError(
    'undecodable_audio',
    `Expected a sample rate of ${MIN_RATE_HZ} to ${MAX_RATE_HZ} Hz, got ${sampleRate}`,
  );
}

const tooLong = ({ maxClipSeconds }: HearingPlan): ServiceError =>
  new ServiceError('clip_too_long', `Expected at most ${maxClipSeconds} s of audio, got more`, {
    max_seconds: maxClipSeconds,
  });

function tooManySamples({ maxClipSeconds }: HearingPlan, maxSamples: number): ServiceError {
  return new ServiceError(
    'clip_too_long',
    `Expected at most ${maxSamples} samples in all channels, got more`,
    { max_seconds: maxClipSeconds, max_samples: maxSamples },
  );
}

function tooShort({ grid }: HearingPlan, heardSeconds: number): ServiceError {
  const minSeconds = grid.minSamples / grid.sampleRate;
  return new ServiceError(
    'clip_too_short',
    `Expected at least ${minSeconds} s of audio, got ${heardSeconds.toFixed(3)} s`,
    { min_seconds: minSeconds },
  );
}
