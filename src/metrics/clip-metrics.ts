import type { Registry } from 'prom-client';
import { counter, histogram, STAGE_SECONDS } from './families.js';
import type { Outcome } from './request-metrics.js';

/** Parts of a request's time. */
export const STAGES = [
  'receive',
  'decode',
  'resample',
  'queue',
  'inference',
  'postprocess',
] as const;
export type Stage = (typeof STAGES)[number];

export interface ClipMetrics {
  stageDone(stage: Stage, ms: number): void;
  decodeDone(
    clip: {
      readonly container: string;
      readonly codec: string;
      readonly decoder: string;
      readonly durationSeconds: number;
    },
    facts: { readonly silent: boolean; readonly fullScaleSamples: number },
  ): void;
  decodeFailed(outcome: Outcome): void;
}

const CLIP_SECONDS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200];

/** What is counted about clips on their way from bytes to tags. */
export function createClipMetrics(registry: Registry): ClipMetrics {
  const { stages, decodes, clipSeconds, silent, fullScale } = declare(registry);
  for (const stage of STAGES) stages.zero({ stage });
  return {
    stageDone: (stage, ms) => stages.observe({ stage }, ms / 1000),
    decodeDone({ container, codec, decoder, durationSeconds }, facts) {
      decodes.inc({ container, codec, decoder, outcome: 'ok' });
      clipSeconds.observe(durationSeconds);
      if (facts.silent) silent.inc();
      if (facts.fullScaleSamples > 0) fullScale.inc();
    },
    // What a refused file claims to be is the client's word: no label is made of it.
    decodeFailed: (outcome) =>
      decodes.inc({ container: 'other', codec: 'other', decoder: 'other', outcome }),
  };
}

function declare(registry: Registry) {
  return {
    stages: histogram(registry, {
      name: 'stage_duration_seconds',
      help: 'Time of one clip in one stage; of one upload for receive',
      buckets: STAGE_SECONDS,
      labels: ['stage'],
    }),
    decodes: counter(registry, {
      name: 'decodes_total',
      help: 'Clips decoded, or refused while decoding',
      labels: ['container', 'codec', 'decoder', 'outcome'],
    }),
    clipSeconds: histogram(registry, {
      name: 'clip_duration_seconds',
      help: 'Length of decoded clips',
      buckets: CLIP_SECONDS,
    }),
    silent: counter(registry, {
      name: 'silent_clips_total',
      help: 'Clips of which no sample reaches -60 dBFS',
    }),
    fullScale: counter(registry, {
      name: 'full_scale_clips_total',
      help: 'Clips with samples at full scale',
    }),
  };
}
