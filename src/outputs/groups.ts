import type { Label } from '../inference/model-card.js';
import { type LabelsBelow, scoreSources } from './rollup.js';
import { strongest } from './tags.js';

/** Labels under a name that a request gave them. */
export interface LabelGroup {
  readonly name: string;
  readonly labels: readonly Label[];
}

export interface GroupScore {
  readonly name: string;
  /** The largest of its labels. */
  readonly score: number;
  /** The label that has it. */
  readonly label: Label;
}

/**
 * Replaces the labels of each group by those whose scores count for it: with roll-up also those
 * below, and labels that training never saw only where the group has no other.
 */
export function planGroups(
  labels: readonly Label[],
  groups: readonly LabelGroup[],
  below: LabelsBelow | undefined,
): LabelGroup[] {
  return groups.map(({ name, labels: members }) => {
    const from = (named: readonly Label[]) => {
      const sources = scoreSources(labels, { named: new Set(named), below });
      return [...new Set(members.flatMap(({ classIndex }) => sources[classIndex] ?? []))];
    };
    const trained = from([]);
    return { name, labels: trained.length > 0 ? trained : from(members) };
  });
}

/** @param groups as `planGroups` made them */
export function scoreGroups(scores: Float32Array, groups: readonly LabelGroup[]): GroupScore[] {
  return groups.map(({ name, labels }) => ({ name, ...strongest(scores, labels) }));
}
