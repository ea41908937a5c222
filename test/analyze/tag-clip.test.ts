import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisDeps, HeardWindow } from '../../src/analyze/hear.js';
import { WHOLE_CLIP } from '../../src/analyze/hear.js';
import { type TaggedChannel, type TaggingOptions, tagClip } from '../../src/analyze/tag-clip.js';
import { openWorkshop, type Workshop } from '../http/test-service.js';
import { longClip, meanOfRows, quietDeps, rowsOf, windowsOf, withClip } from './long-clip.js';

const CLIP = longClip();
const ALL = { topK: 'all', threshold: 0, hearing: WHOLE_CLIP } as const;

let workshop: Workshop;
let deps: AnalysisDeps;
let windows: HeardWindow[];
let rows: Float32Array[];

beforeAll(async () => {
  workshop = await openWorkshop();
  deps = quietDeps(workshop);
  windows = await withClip(CLIP, (clip) => windowsOf(clip, ['row_logits', 'row_embeddings'], deps));
  rows = rowsOf(windows, 'row_logits', 527);
});
afterAll(() => workshop.close());

const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));

async function tag(options: Partial<TaggingOptions> = {}): Promise<TaggedChannel> {
  const { tagged } = await withClip(CLIP, (clip) => tagClip(clip, { ...ALL, ...options }, deps));
  expect(tagged).toHaveLength(1);
  return tagged[0]!;
}

/** Holds the tags of a channel to scores computed for every label. */
function expectScores({ tags }: Pick<TaggedChannel, 'tags'>, scores: readonly number[]): void {
  expect(tags).toHaveLength(deps.model.card.labels.filter(({ trained }) => trained).length);
  for (const { label, score } of tags) expect(score).toBeCloseTo(scores[label.classIndex]!, 5);
}

describe('tagClip', () => {
  it('is the sigmoid of the mean over all rows of the clip', async () => {
    expect(windows.map((window) => window.rows)).toEqual([62, 62, 9]);
    expectScores(await tag(), meanOfRows(rows).map(sigmoid));
  });

  /** Scores of each window, from its rows alone. */
  const scoresOfWindows = () =>
    windows.map((window) => meanOfRows(rowsOf([window], 'row_logits', 527)).map(sigmoid));

  it('takes the mean of the scores of windows by their rows', async () => {
    const [a, b, c] = scoresOfWindows();
    const expected = a!.map((score, i) => (62 * score + 62 * b![i]! + 9 * c![i]!) / 133);
    expectScores(await tag({ aggregate: 'mean' }), expected);
  });

  it('takes the largest score of any window', async () => {
    const [a, b, c] = scoresOfWindows();
    const expected = a!.map((score, i) => Math.max(score, b![i]!, c![i]!));
    expectScores(await tag({ aggregate: 'max' }), expected);
  });

  it('takes the chance that one window is right, the short last one for its share', async () => {
    const [a, b, c] = scoresOfWindows();
    const expected = a!.map((p, i) => 1 - (1 - p) * (1 - b![i]!) * (1 - c![i]!) ** (9 / 62));
    expectScores(await tag({ aggregate: 'noisy_or' }), expected);
  });

  it('tells the tags of each window', async () => {
    const { windows: tagged } = await tag({ include: ['windows'] });
    const expected = scoresOfWindows();
    expect(tagged?.map(({ index, startSeconds }) => [index, startSeconds])).toEqual([
      [0, 0],
      [1, 9.92],
      [2, 19.84],
    ]);
    expect(tagged?.at(-1)?.endSeconds).toBeCloseTo(21.3, 3);
    tagged?.forEach((window, i) => {
      expectScores({ tags: window.tags as TaggedChannel['tags'] }, expected[i]!);
    });
  });

  it('tells the strongest row of each tag', async () => {
    const { tags } = await tag({ include: ['peaks'] });
    for (const { label, peak } of tags) {
      const column = rows.map((row) => row[label.classIndex]!);
      const largest = Math.max(...column);
      expect(sigmoid(column[peak!.row]!)).toBeCloseTo(sigmoid(largest), 6);
      expect(peak!.score).toBeCloseTo(sigmoid(largest), 5);
    }
    expect((await tag()).tags[0]?.peak).toBeUndefined();
  });

  it('gives the embedding: the mean of all rows, of unit length', async () => {
    const { embedding } = await tag({ include: ['embedding'] });
    const mean = meanOfRows(rowsOf(windows, 'row_embeddings', 32));
    const length = Math.hypot(...mean);
    expect(embedding).toHaveLength(32);
    embedding?.forEach((value, i) => {
      expect(value).toBeCloseTo(mean[i]! / length, 5);
    });
  });
});
