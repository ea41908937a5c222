import type { Label } from '../inference/model-card.js';

/** A label and its score, as a reply carries it. */
export interface Tag {
  readonly label: string;
  readonly mid: string;
  readonly class_index: number;
  readonly score: number;
}

export interface TagOptions {
  /** Most tags to keep. */
  readonly topK: number | 'all';
  /** Least score to keep. */
  readonly threshold: number;
  /** Also labels without positives in training, whose scores mean nothing. */
  readonly includeUntrained?: boolean;
}

/**
 * Scores, one per label, to tags: highest first, equal scores in the order of their class index.
 *
 * Labels that training never saw are left out before the best are counted.
 */
export function toTags(
  scores: Float32Array,
  labels: readonly Label[],
  { topK, threshold, includeUntrained = false }: TagOptions,
): Tag[] {
  const tags = labels
    .filter(({ trained }) => trained || includeUntrained)
    .map((label) => toTag(label, scores))
    .filter(({ score }) => score >= threshold)
    .sort((a, b) => b.score - a.score || a.class_index - b.class_index);
  return topK === 'all' ? tags : tags.slice(0, topK);
}

function toTag({ classIndex, mid, name }: Label, scores: Float32Array): Tag {
  const score = scores[classIndex];
  if (score === undefined)
    throw new Error(`Expected a score for ${name}, got ${scores.length} scores`);
  return { label: name, mid, class_index: classIndex, score };
}
