import type { Label } from '../inference/model-card.js';
import { type LabelsBelow, scoreSources } from './rollup.js';
import { type ThresholdChoice, toThresholds } from './thresholds.js';

/** A label and its score. */
export interface Tag {
  readonly label: Label;
  readonly score: number;
  /** The label below it whose score this is; undefined for a score of its own. */
  readonly rolledUpFrom: Label | undefined;
  /** The labels whose largest score this is. */
  readonly sources: readonly Label[];
}

/** Which labels become tags. */
export interface TagOptions {
  /** Most tags to keep. */
  readonly topK: number | 'all';
  /** Least score to keep. */
  readonly threshold: ThresholdChoice;
  /** Least scores of single labels, in place of `threshold`. */
  readonly thresholds?: ReadonlyMap<Label, number> | undefined;
  /** No others than these; a label that training never saw is among the tags only when it is named here. */
  readonly labels?: readonly Label[] | undefined;
  readonly excludeLabels?: readonly Label[] | undefined;
  /** With roll-up, the labels below each label; without, undefined. */
  readonly below?: LabelsBelow | undefined;
}

interface Candidate {
  readonly label: Label;
  readonly sources: readonly Label[];
  /** Scores that one of the sources must reach, in their order. */
  readonly leastScores: readonly number[];
}

/** The choice of a request, worked out once for all windows and clips. */
export interface TagPlan {
  readonly candidates: readonly Candidate[];
  readonly topK: number | 'all';
}

/**
 * Works out which labels may become tags, from which scores and from which score on.
 *
 * A label that others are rolled up into is present where it or one of them reaches its own threshold, unless the
 * request gave it one of its own.
 */
export function planTags(
  labels: readonly Label[],
  { topK, threshold, thresholds, labels: named, excludeLabels = [], below }: TagOptions,
): TagPlan {
  const sources = scoreSources(labels, { named: new Set(named), below });
  const ownThresholds = toThresholds(labels, threshold);
  for (const [{ classIndex }, least] of thresholds ?? []) ownThresholds[classIndex] = least;
  const excluded = new Set(excludeLabels);
  const candidates = (named ?? labels)
    .filter((label) => !excluded.has(label))
    .map((label) => {
      const from = sources[label.classIndex] ?? [];
      const fixed = thresholds?.get(label);
      const leastScores = from.map(({ classIndex }) => fixed ?? ownThresholds[classIndex] ?? 0);
      return { label, sources: from, leastScores };
    })
    .filter((candidate) => candidate.sources.length > 0);
  return { candidates, topK };
}

/**
 * Scores, one per label, to tags: highest first, equal scores in the order of their class index.
 *
 * @throws Error when the scores are not those of the plan's labels
 */
export function pickTags(scores: Float32Array, { candidates, topK }: TagPlan): Tag[] {
  const tags = candidates
    .filter(({ sources, leastScores }) =>
      sources.some((source, i) => scoreOf(source, scores) >= (leastScores[i] ?? 0)),
    )
    .map(({ label, sources }) => {
      const { label: from, score } = strongest(scores, sources);
      return { label, score, rolledUpFrom: from === label ? undefined : from, sources };
    })
    .sort((a, b) => b.score - a.score || a.label.classIndex - b.label.classIndex);
  return topK === 'all' ? tags : tags.slice(0, topK);
}

/** The label with the largest score, the first of equal ones. */
export function strongest(
  scores: Float32Array,
  labels: readonly Label[],
): { label: Label; score: number } {
  return labels
    .map((label) => ({ label, score: scoreOf(label, scores) }))
    .reduce((best, each) => (each.score > best.score ? each : best));
}

function scoreOf({ classIndex, name }: Label, scores: Float32Array): number {
  const score = scores[classIndex];
  if (score === undefined)
    throw new Error(`Expected a score for ${name}, got ${scores.length} scores`);
  return score;
}
