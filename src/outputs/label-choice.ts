import { ServiceError } from '../errors.js';
import type { Label, ModelCard } from '../inference/model-card.js';
import { nearLabels, toComparable } from './label-search.js';

/** What a request may name a label by. */
type Labelled = Pick<ModelCard, 'name' | 'labels'>;

/**
 * The labels that a request names, each once, in the order of their first mention.
 *
 * A value is a MID, a display name (case and accents do not matter), or several of them with commas
 * between. Names may hold commas themselves ("Chewing, mastication"), so the longest run of parts
 * that is a name counts as one; no name of AudioSet is a part of another one's list.
 *
 * @param parameter the parameter that the names came in, for the error
 * @throws ServiceError `invalid_value` that names what is unknown, with labels that it may have meant
 */
export function resolveLabels(
  card: Labelled,
  values: readonly string[],
  parameter = 'labels',
): Label[] {
  const index = indexOf(card);
  const chosen = values.flatMap((value) => {
    const parts = value.split(',').map((part) => part.trim());
    return [...readParts(parts, index, (part) => unknownLabel(card, part, parameter))];
  });
  return [...new Set(chosen)];
}

/** Labels by all that may stand for them. */
interface NameIndex {
  readonly labels: ReadonlyMap<string, Label>;
  /** Most parts between commas that one name has. */
  readonly maxParts: number;
}

const indices = new WeakMap<readonly Label[], NameIndex>();

/** Made once for a card, which never changes, while requests are many. */
function indexOf({ labels }: Labelled): NameIndex {
  const known = indices.get(labels);
  if (known) return known;
  const byName = new Map(labels.map((label) => [toComparable(label.name), label]));
  // A MID wins over a name, however odd the names of a model may be.
  for (const label of labels) byName.set(toComparable(label.mid), label);
  const maxParts = Math.max(0, ...[...byName.keys()].map((name) => name.split(', ').length));
  const index = { labels: byName, maxParts };
  indices.set(labels, index);
  return index;
}

function* readParts(
  parts: readonly string[],
  index: NameIndex,
  unknown: (part: string) => ServiceError,
): Generator<Label> {
  for (let start = 0; start < parts.length; ) {
    const found = longestName(parts.slice(start, start + index.maxParts), index);
    if (found === undefined) throw unknown(parts[start] ?? '');
    yield found.label;
    start += found.numParts;
  }
}

function longestName(
  parts: readonly string[],
  { labels }: NameIndex,
): { label: Label; numParts: number } | undefined {
  for (let numParts = parts.length; numParts > 0; numParts--) {
    const label = labels.get(toComparable(parts.slice(0, numParts).join(', ')));
    if (label !== undefined) return { label, numParts };
  }
  return undefined;
}

function unknownLabel({ name, labels }: Labelled, part: string, parameter: string): ServiceError {
  const near = nearLabels(labels, part).map((label) => label.name);
  const hint = near.length > 0 ? `; near it: ${near.join(' · ')}` : '';
  const shown = JSON.stringify(part.slice(0, 60));
  const detail = `Expected MIDs or names of labels of ${name}, got ${shown}${hint}`;
  return new ServiceError('invalid_value', `${parameter}: ${detail}`, {
    errors: [{ parameter, detail }],
    suggestions: near,
  });
}
