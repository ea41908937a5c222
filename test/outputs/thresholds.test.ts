import { expect, it } from 'vitest';
import { toThresholds } from '../../src/outputs/thresholds.js';
import { tinyCard } from '../inference/tiny-model.js';

it('takes the threshold of the card, and the middle where it has none', async () => {
  const { labels } = await tinyCard();
  const own = toThresholds(labels, 'auto');
  expect(own).toHaveLength(labels.length);
  expect(labels.some(({ threshold }) => threshold === null)).toBe(true);
  expect(labels.some(({ threshold }) => threshold !== null && threshold !== 0.5)).toBe(true);
  for (const { classIndex, threshold } of labels) expect(own[classIndex]).toBe(threshold ?? 0.5);
  expect(new Set(toThresholds(labels, 0.25))).toEqual(new Set([0.25]));
});
