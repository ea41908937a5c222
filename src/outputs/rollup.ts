import type { Label } from '../inference/model-card.js';
import type { Ontology } from '../ontology/ontology.js';

/** For each label, by class index, the class indices of the labels that are kinds of it. */
export type LabelsBelow = readonly (readonly number[])[];

const known = new WeakMap<readonly Label[], LabelsBelow>();

/**
 * The labels below each label in the ontology, also those reached through nodes that are no labels.
 *
 * Kept for each model: cards never change.
 */
export function labelsBelow(labels: readonly Label[], ontology: Ontology): LabelsBelow {
  const kept = known.get(labels);
  if (kept) return kept;
  const indexOf = new Map(labels.map(({ mid, classIndex }) => [mid, classIndex]));
  const below = labels.map(({ mid }) =>
    [...ontology.descendants(mid)]
      .flatMap((each) => indexOf.get(each) ?? [])
      .toSorted((a, b) => a - b),
  );
  known.set(labels, below);
  return below;
}

/**
 * Which labels' scores make up the score of each label, by class index: their largest is its score.
 *
 * Only scores that mean something count: those of trained labels, and of labels that the request
 * names where no trained one is below them. A label without any such score has no sources.
 *
 * @param below `undefined`: no roll-up, each label by itself
 * @returns the label itself first, where it counts
 */
export function scoreSources(
  labels: readonly Label[],
  { named, below }: { named: ReadonlySet<Label>; below: LabelsBelow | undefined },
): Label[][] {
  const ofIndices = (indices: readonly number[] = []) => indices.flatMap((i) => labels[i] ?? []);
  const counts = (label: Label) =>
    label.trained ||
    (named.has(label) && !ofIndices(below?.[label.classIndex]).some(({ trained }) => trained));
  return labels.map((label) =>
    [label, ...ofIndices(below?.[label.classIndex])].filter((each) => counts(each)),
  );
}
