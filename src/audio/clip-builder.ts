import { ServiceError } from '../errors.js';
import type { PcmChunk } from './codecs/codec.js';
import { clampSamples, mixToMono } from './mix-to-mono.js';
import { createResampler, joinSamples, type Resampler } from './resample.js';
import type { Waveform } from './waveform.js';

const [MIN_RATE_HZ, MAX_RATE_HZ] = [1_000, 768_000];

export interface ClipLimits {
  /** Rate of the waveform that is built, in Hz. */
  readonly targetSampleRate: number;
  readonly maxClipSeconds: number;
}

export interface BuiltClip {
  readonly waveform: Waveform;
  readonly codec: string;
  /** Of the source, as its first chunk had it. */
  readonly sampleRate: number;
  readonly channels: number;
  readonly durationSeconds: number;
  readonly resampleMs: number;
}

/** Builds a clip's waveform while it is decoded: mono, at the target rate, no longer than allowed. */
export class ClipBuilder {
  readonly #limits: ClipLimits;
  readonly #pieces: Float32Array[] = [];
  #first: PcmChunk | undefined;
  #sampleRate = 0;
  #resampler: Resampler | undefined;
  /** Samples at the present rate, and the length of what came at rates before it. */
  #numSamples = 0;
  #earlierSeconds = 0;
  #resampleMs = 0;

  constructor(limits: ClipLimits) {
    this.#limits = limits;
  }

  /** @throws ServiceError clip_too_long, undecodable_audio */
  push(chunk: PcmChunk): void {
    const numSamples = chunk.channels[0]?.length ?? 0;
    if (numSamples === 0) return;
    this.#first ??= { ...chunk, channels: chunk.channels.map(() => new Float32Array(0)) };
    if (chunk.sampleRate !== this.#sampleRate) this.#changeRate(chunk.sampleRate);
    this.#numSamples += numSamples;
    if (this.#durationSeconds > this.#limits.maxClipSeconds) throw tooLong(this.#limits);
    const mono = mixToMono(chunk.channels);
    this.#collect((resampler) => resampler.push(mono));
  }

  /** @throws ServiceError empty_audio */
  finish(): BuiltClip {
    if (!this.#first) throw new ServiceError('empty_audio', 'Expected audio, found no sample');
    this.#collect((resampler) => resampler.flush());
    const samples = clampSamples(joinSamples(this.#pieces));
    return {
      waveform: { samples, sampleRate: this.#limits.targetSampleRate },
      codec: this.#first.codec,
      sampleRate: this.#first.sampleRate,
      channels: this.#first.channels.length,
      durationSeconds: this.#durationSeconds,
      resampleMs: this.#resampleMs,
    };
  }

  get #durationSeconds(): number {
    return this.#earlierSeconds + this.#numSamples / this.#sampleRate;
  }

  /** Chained streams may go on at another rate: the next samples begin where the last ones end. */
  #changeRate(sampleRate: number): void {
    if (!(sampleRate >= MIN_RATE_HZ && sampleRate <= MAX_RATE_HZ)) {
      throw new ServiceError(
        'undecodable_audio',
        `Expected a sample rate of ${MIN_RATE_HZ} to ${MAX_RATE_HZ} Hz, got ${sampleRate}`,
      );
    }
    this.#collect((resampler) => resampler.flush());
    if (this.#numSamples > 0) this.#earlierSeconds = this.#durationSeconds;
    this.#numSamples = 0;
    this.#sampleRate = sampleRate;
    const started = performance.now();
    this.#resampler = createResampler({
      fromHz: sampleRate,
      toHz: this.#limits.targetSampleRate,
    });
    this.#resampleMs += performance.now() - started;
  }

  #collect(run: (resampler: Resampler) => Float32Array): void {
    if (!this.#resampler) return;
    const started = performance.now();
    this.#pieces.push(run(this.#resampler));
    this.#resampleMs += performance.now() - started;
  }
}

const tooLong = ({ maxClipSeconds }: ClipLimits): ServiceError =>
  new ServiceError('clip_too_long', `Expected at most ${maxClipSeconds} s of audio, got more`, {
    max_seconds: maxClipSeconds,
  });
