import { collectDefaultMetrics, Registry } from 'prom-client';
import { type ClipMetrics, createClipMetrics } from './metrics/clip-metrics.js';
import { flag, gauge } from './metrics/families.js';
import { createInferenceMetrics, type InferenceMetrics } from './metrics/inference-metrics.js';
import {
  createRequestMetrics,
  type MeasuredRoute,
  type RequestMetrics,
} from './metrics/request-metrics.js';

/** Every metric of the service; inference reports to it as its observer. */
export interface Metrics extends RequestMetrics, ClipMetrics, InferenceMetrics {
  readonly contentType: string;
  /** The text that Prometheus scrapes. */
  render(): Promise<string>;
}

export interface MetricsOptions {
  readonly versions: { readonly service: string; readonly onnxruntime: string };
  readonly routes: readonly MeasuredRoute[];
  /** Asked at every scrape. */
  readonly isReady: () => boolean;
  /** Asked at every scrape. */
  readonly isDraining: () => boolean;
}

/**
 * Declares every metric, in a registry of its own.
 *
 * No label takes a value that a client may choose. Series whose labels are known beforehand exist
 * at 0 from the start, so that no rate and no alert looks at nothing.
 */
export function createMetrics({ versions, routes, isReady, isDraining }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  describeBuild(registry, versions);
  flag(registry, { name: 'ready', help: '1 while requests are welcome' }, isReady);
  flag(registry, { name: 'draining', help: '1 while the service is shutting down' }, isDraining);
  const requests = createRequestMetrics(registry, routes);
  const inference = createInferenceMetrics(registry);
  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    ...requests,
    ...createClipMetrics(registry),
    ...inference,
    modelLoaded(event) {
      requests.initModel(event.model);
      inference.modelLoaded(event);
    },
  };
}

function describeBuild(registry: Registry, versions: MetricsOptions['versions']): void {
  const labels = {
    version: versions.service,
    node: process.version,
    onnxruntime: versions.onnxruntime,
  };
  gauge(registry, {
    name: 'build_info',
    help: 'Always 1; the labels are versions',
    labels: ['version', 'node', 'onnxruntime'],
  }).set(labels, 1);
}
