import type { RequestHandler } from 'express';
import type { GraphFile, ModelCard, Precision } from '../inference/model-card.js';
import type { Model, ModelRegistry } from '../inference/model-registry.js';
import type { PrecisionState } from '../inference/precision.js';
import type { ProviderState } from '../inference/provider.js';
import type { components } from './openapi-types.js';
import type { ParseParameters } from './parameters.js';

type Schemas = components['schemas'];
type EncoderGraph = ModelCard['graphs']['encoder']['fp32'];

export interface ModelRouteDeps {
  readonly registry: ModelRegistry;
  readonly parseParameters: ParseParameters;
}

/** GET /v1/models */
export function listModelsRoute({ registry, parseParameters }: ModelRouteDeps): RequestHandler {
  return (request, response) => {
    parseParameters('listModels', request.query);
    const data = registry.list().map((model) => toModel(model, registry));
    response.json({ object: 'list', data } satisfies Schemas['ModelList']);
  };
}

/** GET /v1/models/{name} */
export function getModelRoute({ registry, parseParameters }: ModelRouteDeps): RequestHandler {
  return (request, response) => {
    parseParameters('getModel', request.query);
    response.json(toModel(registry.get(String(request.params.name)), registry));
  };
}

/** What a reply says of a provider: not the detail, which may name paths of the machine. */
export function toProvider({ requested, active, reason }: ProviderState): Schemas['Provider'] {
  return { requested, active, reason: reason ?? null };
}

/** What a reply says of a precision, beside the one that runs. */
export function toPrecisionChoice({
  requested,
  reason,
}: PrecisionState): Schemas['PrecisionChoice'] {
  return { requested, reason: reason ?? null };
}

function toGate(gate: NonNullable<EncoderGraph['gate']>): Schemas['PrecisionGate'] {
  return {
    passed: gate.passed,
    clips: gate.clips,
    clips_sha256: gate.clipsSha256,
    folds: [...gate.folds],
    top1_agreement: gate.top1Agreement,
    mean_absolute_score_difference: gate.meanAbsoluteScoreDifference,
    map_change: gate.mapChange,
    accuracy_change: gate.accuracyChange,
  };
}

function toGraph({ file, bytes, sha256 }: GraphFile): Schemas['GraphFile'] {
  return { file, bytes, sha256 };
}

function toModel(model: Model, registry: ModelRegistry): Schemas['Model'] {
  const { card, precision, engines, maxBatchWindows, queueMaxWindows } = model;
  const { encoder, tokenizer } = card.graphs;
  const graph = encoder[precision.active] ?? encoder.fp32;
  return {
    id: card.name,
    object: 'model',
    default: card.name === registry.defaultName,
    revision: card.revision,
    license: card.license,
    description: card.description,
    sample_rate: card.sampleRate,
    window_seconds: card.windowSeconds,
    min_clip_seconds: card.minSamples / card.sampleRate,
    activation: card.activation,
    num_labels: card.labels.length,
    num_trained_labels: card.labels.filter(({ trained }) => trained).length,
    embedding_dim: card.embeddingDim,
    rows_per_second: card.rowsPerSecond,
    tokens: card.tokens && { codebook_size: card.tokens.codebookSize, bands: card.tokens.bands },
    precision: precision.active,
    precision_choice: toPrecisionChoice(precision),
    precision_gate: graph.gate && toGate(graph.gate),
    provider: toProvider(model.provider),
    precisions: Object.keys(encoder) as Precision[],
    engines,
    ready: model.isReady(),
    max_batch_windows: maxBatchWindows,
    queue_max_windows: queueMaxWindows,
    graph: toGraph(graph),
    tokenizer_graph: tokenizer && toGraph(tokenizer.fp32),
    training: { ...card.training },
    evaluation: { ...card.evaluation },
  };
}
