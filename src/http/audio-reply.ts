import type { HeardClip as Heard } from '../analyze/hear.js';
import type { ClipAnswer } from './clip-answers.js';
import type { components } from './openapi-types.js';

type Schemas = components['schemas'];

interface HeardClip {
  readonly audioSeconds: number;
  readonly windows: number;
}

/** The recording as it came, and what was measured of it. */
export function toAudio({ format, facts }: Pick<Heard, 'format' | 'facts'>): Schemas['Audio'] {
  const { container, codec, decoder, channels } = format;
  return {
    duration_seconds: toThreeDecimals(format.durationSeconds),
    container,
    codec,
    decoder,
    sample_rate: format.sampleRate,
    channels,
    peak_dbfs: toOneDecimal(facts.peakDbfs),
    rms_dbfs: toOneDecimal(facts.rmsDbfs),
    full_scale_samples: facts.fullScaleSamples,
    silent: facts.silent,
    bandwidth_hz: facts.bandwidthHz,
    warnings: [...facts.warnings],
  };
}

/** What was heard for these clips together; clips that failed count nothing. */
export function toUsage(clips: readonly HeardClip[]): Schemas['Usage'] {
  const seconds = clips.reduce((sum, { audioSeconds }) => sum + audioSeconds, 0);
  return {
    audio_seconds: toThreeDecimals(seconds),
    windows: clips.reduce((sum, { windows }) => sum + windows, 0),
  };
}

/** The answers among answers and problems. */
export function answered<T>(answers: readonly ClipAnswer<T>[]): T[] {
  return answers.flatMap((each) => ('answer' in each ? [each.answer] : []));
}

/** Seconds as a reply carries them. */
export function toThreeDecimals(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

const toOneDecimal = (level: number | null): number | null =>
  level === null ? null : Math.round(level * 10) / 10;
