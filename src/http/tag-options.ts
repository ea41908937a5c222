import type { TagExtra, TaggingOptions } from '../analyze/tag-clip.js';
import type { Label, ModelCard } from '../inference/model-card.js';
import type { Ontology } from '../ontology/ontology.js';
import type { LabelGroup } from '../outputs/groups.js';
import { resolveLabels } from '../outputs/label-choice.js';
import { labelsBelow } from '../outputs/rollup.js';
import { toHearing } from './hearing.js';
import { invalidValue } from './invalid-value.js';
import type { ParametersOf } from './parameters.js';

/**
 * What a request about tags asks of a model.
 *
 * @throws ServiceError `invalid_value`: what openapi.yaml cannot say, since it depends on the model
 */
export function toTaggingOptions(
  parameters: ParametersOf<'createTags'>,
  card: ModelCard,
  ontology: Ontology,
): TaggingOptions {
  const { labels, exclude_labels: excludeLabels, thresholds, groups, rollup } = parameters;
  assertLabels(parameters, card);
  return {
    hearing: toHearing(parameters),
    topK: parameters.top_k,
    threshold: parameters.threshold,
    thresholds: toThresholdMap(thresholds, card),
    labels: labels && resolveLabels(card, labels, 'labels'),
    excludeLabels: resolveLabels(card, excludeLabels ?? [], 'exclude_labels'),
    below: rollup === 'ancestors' ? labelsBelow(card.labels, ontology) : undefined,
    groups: toGroups(groups, card),
    aggregate: parameters.aggregate,
    // What is said of the recording itself is always there.
    include: (parameters.include ?? []).filter((extra): extra is TagExtra => extra !== 'audio'),
  };
}

function assertLabels(
  { top_k: topK }: ParametersOf<'createTags'>,
  { labels: { length }, name }: ModelCard,
): void {
  if (length === 0)
    throw invalidValue('model', `Expected a model with labels, ${name} gives embeddings only`);
  if (topK !== 'all' && topK > length)
    throw invalidValue('top_k', `Expected an integer from 1 to ${length} or "all", got ${topK}`);
}

function toThresholdMap(text: string | undefined, card: ModelCard): Map<Label, number> {
  const expected = 'a JSON object of numbers from 0 to 1, such as {"Dog": 0.3}';
  const entries = parseJsonMap(text, { parameter: 'thresholds', expected, isValue: isScore });
  return new Map(
    entries.flatMap(([name, threshold]) =>
      resolveLabels(card, [name], 'thresholds').map((label) => [label, threshold] as const),
    ),
  );
}

function toGroups(text: string | undefined, card: ModelCard): LabelGroup[] {
  const expected = 'a JSON object of lists of labels, such as {"pets": ["Dog", "Cat"]}';
  const entries = parseJsonMap(text, { parameter: 'groups', expected, isValue: isNameList });
  return entries.map(([name, names]) => ({ name, labels: resolveLabels(card, names, 'groups') }));
}

const isScore = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= 1;

const isNameList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string');

/** The entries of a parameter that is a JSON object. */
function parseJsonMap<T>(
  text: string | undefined,
  options: { parameter: string; expected: string; isValue: (value: unknown) => value is T },
): [name: string, value: T][] {
  if (text === undefined) return [];
  const { parameter, expected, isValue } = options;
  const entries = entriesOf(text);
  const wrong = entries?.find(([, value]) => !isValue(value));
  if (entries === undefined || wrong !== undefined) {
    const got = JSON.stringify(wrong ? Object.fromEntries([wrong]) : text).slice(0, 80);
    throw invalidValue(parameter, `Expected ${expected}, got ${got}`);
  }
  return entries as [string, T][];
}

function entriesOf(text: string): [string, unknown][] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? Object.entries(value) : undefined;
  } catch {
    return undefined;
  }
}
