import { beforeAll, describe, expect, it } from 'vitest';
import type { Label } from '../../src/inference/model-card.js';
import { toTags } from '../../src/outputs/tags.js';
import { tinyCard } from '../inference/tiny-model.js';

let labels: readonly Label[];
beforeAll(async () => {
  labels = (await tinyCard()).labels;
});

/** Scores that fall and rise over the labels, many of them equal. */
const scores = Float32Array.from({ length: 527 }, (_, i) => ((i * 7) % 50) / 50);

describe('toTags', () => {
  it('gives the best first and breaks ties by class index', () => {
    const tags = toTags(scores, labels, { topK: 'all', threshold: 0, includeUntrained: true });
    expect(tags).toHaveLength(527);
    for (const [i, tag] of tags.entries()) {
      const next = tags[i + 1];
      if (next === undefined) continue;
      expect(
        tag.score > next.score || (tag.score === next.score && tag.class_index < next.class_index),
      ).toBe(true);
    }
  });

  it('carries label, MID, class index and score of the same label', () => {
    const [best] = toTags(scores, labels, { topK: 1, threshold: 0 });
    const label = labels[best?.class_index ?? -1];
    expect(best).toEqual({
      label: label?.name,
      mid: label?.mid,
      class_index: label?.classIndex,
      score: scores[label?.classIndex ?? -1],
    });
  });

  it('leaves out labels that training never saw before it counts the best', () => {
    const untrained = labels.findIndex(({ trained }) => !trained);
    const loud = scores.slice();
    loud[untrained] = 1;
    const tags = toTags(loud, labels, { topK: 10, threshold: 0 });
    expect(tags).toHaveLength(10);
    expect(tags.every(({ class_index }) => labels[class_index]?.trained)).toBe(true);
    const all = toTags(loud, labels, { topK: 10, threshold: 0, includeUntrained: true });
    expect(all[0]?.class_index).toBe(untrained);
  });

  it('keeps what reaches the threshold exactly, and nothing below', () => {
    const tags = toTags(scores, labels, { topK: 'all', threshold: scores[0] as number });
    const expected = labels.filter(
      ({ trained, classIndex }) => trained && scores[classIndex]! >= scores[0]!,
    );
    expect(tags).toHaveLength(expected.length);
    expect(toTags(scores, labels, { topK: 5, threshold: 1 })).toEqual([]);
  });

  it('refuses scores of another model', () => {
    expect(() => toTags(scores.subarray(0, 3), labels, { topK: 1, threshold: 0 })).toThrow(
      'got 3 scores',
    );
  });
});
