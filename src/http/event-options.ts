import type { EventOptions } from '../analyze/detect-events.js';
import type { ListOptions } from '../analyze/list-events.js';
import { ServiceError } from '../errors.js';
import type { Label, ModelCard } from '../inference/model-card.js';
import { toEventThresholds } from '../outputs/events/event-thresholds.js';
import { resolveLabels } from '../outputs/label-choice.js';
import { toHearing } from './hearing.js';
import type { ParametersOf } from './parameters.js';

export type EventParameters = ParametersOf<'createEvents'>;

/**
 * What a request counts as an event.
 *
 * @throws ServiceError `invalid_value`: what openapi.yaml cannot say, since it depends on the model
 */
export function toEventOptions(parameters: EventParameters, card: ModelCard): EventOptions {
  const { on_threshold: on, off_threshold: off, top_k: topK } = parameters;
  if (on !== 'auto' && off !== undefined && off > on) {
    throw invalidParameter('off_threshold', `Expected at most on_threshold = ${on}, got ${off}`);
  }
  if (topK !== undefined && topK > card.labels.length) {
    const detail = `Expected an integer from 1 to ${card.labels.length}, got ${topK}`;
    throw invalidParameter('top_k', detail);
  }
  const labels = chooseLabels(parameters, card);
  return {
    labels,
    thresholds: toEventThresholds(labels, { on, off }),
    smoothSeconds: parameters.smooth_seconds,
    mergeGapSeconds: parameters.merge_gap_seconds,
    minDurationSeconds: parameters.min_duration_seconds,
    minLevelDbfs: parameters.min_level_dbfs,
    hearing: toHearing(parameters),
  };
}

/** The same, with what is to be kept of it. */
export function toListOptions(parameters: EventParameters, card: ModelCard): ListOptions {
  const { max_events: maxEvents, top_k: topK } = parameters;
  return { ...toEventOptions(parameters, card), maxEvents, topK };
}

/** Labels that training never saw are looked for only when they are named. */
function chooseLabels(
  { labels, exclude_labels: excluded }: EventParameters,
  card: ModelCard,
): Label[] {
  if (card.labels.length === 0) {
    const detail = `Expected a model with labels, ${card.name} gives embeddings only`;
    throw invalidParameter('model', detail);
  }
  const wanted = labels ? resolveLabels(card, labels) : card.labels.filter((one) => one.trained);
  const unwanted = new Set(resolveLabels(card, excluded ?? [], 'exclude_labels'));
  const chosen = wanted.filter((label) => !unwanted.has(label));
  if (chosen.length > 0) return chosen;
  throw invalidParameter('exclude_labels', 'Expected a label to be left, got all of them');
}

export function invalidParameter(parameter: string, detail: string): ServiceError {
  return new ServiceError('invalid_value', `${parameter}: ${detail}`, {
    errors: [{ parameter, detail }],
  });
}
