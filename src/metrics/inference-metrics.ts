import type { Registry } from 'prom-client';
import type { BatchEvent, InferenceObserver } from '../inference/observer.js';
import type { FallbackReason, Provider } from '../inference/provider.js';
import { counter, gauge, histogram, STAGE_SECONDS } from './families.js';

type EventOf<Method extends keyof InferenceObserver> = Parameters<InferenceObserver[Method]>[0];
type LossReason = EventOf<'engineRestarted'>['reason'];

interface ModelDescription {
  readonly name: string;
  readonly revision: string;
  readonly sha256: string;
  readonly precision: string;
  readonly provider: Provider;
}

export interface InferenceMetrics extends InferenceObserver {
  describeModel(model: ModelDescription): void;
}

const BATCH_WINDOWS = [1, 2, 4, 8, 16, 32, 64];
const PROVIDERS: readonly Provider[] = ['cpu', 'cuda'];
// Objects, so that the compiler demands every member of the type.
const FALLBACK_REASONS = Object.keys({
  lib_missing: 0,
  no_device: 0,
  unsupported_platform: 0,
  oom: 0,
  other: 0,
} satisfies Record<FallbackReason, 0>);
const LOSS_REASONS = Object.keys({
  crashed: 0,
  timeout: 0,
  run_failed: 0,
  self_test_failed: 0,
} satisfies Record<LossReason, 0>);

/** What inference tells about itself, as metrics. */
export function createInferenceMetrics(registry: Registry): InferenceMetrics {
  const models = modelMetrics(registry);
  const batches = batchMetrics(registry);
  const queues = queueMetrics(registry);
  return {
    describeModel: models.describeModel,
    modelLoaded(event) {
      for (const family of [models, batches, queues]) family.modelLoaded(event);
    },
    providerFellBack: models.providerFellBack,
    batchDone: batches.batchDone,
    queueChanged: queues.queueChanged,
    engineRestarted: models.engineRestarted,
    nonfiniteWindows: batches.nonfiniteWindows,
  };
}

function modelMetrics(registry: Registry) {
  const families = declareModel(registry);
  for (const reason of FALLBACK_REASONS) families.fallbacks.inc({ reason }, 0);
  for (const reason of LOSS_REASONS) families.restarts.inc({ reason }, 0);
  return {
    modelLoaded({ model, provider, loadMs, warmupMs }: EventOf<'modelLoaded'>): void {
      families.load.set({ model }, loadMs / 1000);
      families.warmup.set({ model }, warmupMs / 1000);
      for (const each of PROVIDERS) {
        families.active.set({ model, provider: each }, each === provider ? 1 : 0);
      }
    },
    describeModel({ name, revision, sha256, precision, provider }: ModelDescription): void {
      const labels = { model: name, revision, sha256: sha256.slice(0, 12), precision, provider };
      families.description.set(labels, 1);
    },
    providerFellBack: ({ reason }: EventOf<'providerFellBack'>) =>
      families.fallbacks.inc({ reason }),
    engineRestarted: ({ reason }: EventOf<'engineRestarted'>) => families.restarts.inc({ reason }),
  };
}

function declareModel(registry: Registry) {
  return {
    load: gauge(registry, {
      name: 'model_load_duration_seconds',
      help: 'From the first engine started to the last one ready',
      labels: ['model'],
    }),
    warmup: gauge(registry, {
      name: 'warmup_duration_seconds',
      help: 'Warm-up of the slowest engine',
      labels: ['model'],
    }),
    active: gauge(registry, {
      name: 'execution_provider_active',
      help: '1 where the model runs',
      labels: ['model', 'provider'],
    }),
    fallbacks: counter(registry, {
      name: 'execution_provider_fallbacks_total',
      help: 'Models that were to try cuda and run on cpu',
      labels: ['reason'],
    }),
    restarts: counter(registry, {
      name: 'engine_restarts_total',
      help: 'Engines lost and replaced',
      labels: ['reason'],
    }),
    description: gauge(registry, {
      name: 'model_info',
      help: 'Always 1; the labels say which model this is',
      labels: ['model', 'revision', 'sha256', 'precision', 'provider'],
    }),
  };
}

function queueMetrics(registry: Registry) {
  const windows = gauge(registry, {
    name: 'queue_windows',
    help: 'Windows that wait for an engine',
    labels: ['model'],
  });
  const audioSeconds = gauge(registry, {
    name: 'queue_audio_seconds',
    help: 'Seconds of audio that wait for an engine',
    labels: ['model'],
  });
  const limit = gauge(registry, {
    name: 'queue_limit_windows',
    help: 'Windows that may wait',
    labels: ['model'],
  });
  return {
    modelLoaded({ model, queueLimitWindows }: EventOf<'modelLoaded'>): void {
      windows.set({ model }, 0);
      audioSeconds.set({ model }, 0);
      limit.set({ model }, queueLimitWindows);
    },
    queueChanged(event: EventOf<'queueChanged'>): void {
      windows.set({ model: event.model }, event.windows);
      audioSeconds.set({ model: event.model }, event.audioSeconds);
    },
  };
}

function batchMetrics(registry: Registry) {
  const families = declareBatch(registry);
  const { windows, batches, batchWindows, duration, audio, padded, busy, nonfinite } = families;
  return {
    modelLoaded({ model, provider, engines }: EventOf<'modelLoaded'>): void {
      for (const family of [windows, batches]) family.inc({ model, provider }, 0);
      for (const family of [audio, padded, nonfinite]) family.inc({ model }, 0);
      batchWindows.zero({ model });
      for (let engine = 0; engine < engines; engine++) busy.inc({ model, engine }, 0);
    },
    batchDone(event: BatchEvent): void {
      const { model, provider, bucket, engine } = event;
      const seconds = event.inferenceMs / 1000;
      windows.inc({ model, provider }, event.windows);
      batches.inc({ model, provider });
      batchWindows.observe({ model }, event.windows);
      duration.observe({ model, provider, bucket }, seconds);
      audio.inc({ model }, event.audioSeconds);
      padded.inc({ model }, event.paddedSeconds);
      busy.inc({ model, engine }, seconds);
      if (event.firstShape) families.firstShapes.inc({ model, bucket });
    },
    nonfiniteWindows: (event: EventOf<'nonfiniteWindows'>) =>
      nonfinite.inc({ model: event.model }, event.windows),
  };
}

function declareBatch(registry: Registry) {
  return {
    windows: counter(registry, {
      name: 'windows_total',
      help: 'Windows run',
      labels: ['model', 'provider'],
    }),
    batches: counter(registry, {
      name: 'batches_total',
      help: 'Batches run',
      labels: ['model', 'provider'],
    }),
    batchWindows: histogram(registry, {
      name: 'batch_windows',
      help: 'Windows in a batch',
      buckets: BATCH_WINDOWS,
      labels: ['model'],
    }),
    duration: histogram(registry, {
      name: 'batch_duration_seconds',
      help: 'Time inside the engine',
      buckets: STAGE_SECONDS,
      labels: ['model', 'provider', 'bucket'],
    }),
    audio: counter(registry, {
      name: 'batch_audio_seconds_total',
      help: 'Seconds of audio run',
      labels: ['model'],
    }),
    padded: counter(registry, {
      name: 'batch_padded_seconds_total',
      help: 'Seconds of padding run beside the audio',
      labels: ['model'],
    }),
    busy: counter(registry, {
      name: 'engine_busy_seconds_total',
      help: 'Time that an engine spent on runs',
      labels: ['model', 'engine'],
    }),
    nonfinite: counter(registry, {
      name: 'nonfinite_windows_total',
      help: 'Windows whose outputs were not finite',
      labels: ['model'],
    }),
    firstShapes: counter(registry, {
      name: 'first_shape_runs_total',
      help: 'Batches of a shape that was not warmed',
      labels: ['model', 'bucket'],
    }),
  };
}
