import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EmbeddingOptions, embedClip } from '../../src/analyze/embed-clip.js';
import { type AnalysisDeps, type HeardWindow, WHOLE_CLIP } from '../../src/analyze/hear.js';
import { openWorkshop, type Workshop } from '../http/test-service.js';
import { longClip, meanOfRows, quietDeps, rowsOf, windowsOf, withClip } from './long-clip.js';

const CLIP = longClip();
const DIM = 32;

let workshop: Workshop;
let deps: AnalysisDeps;
let windows: HeardWindow[];
let rows: Float32Array[];

beforeAll(async () => {
  workshop = await openWorkshop();
  deps = quietDeps(workshop);
  windows = await withClip(CLIP, (clip) => windowsOf(clip, ['row_embeddings'], deps));
  rows = rowsOf(windows, 'row_embeddings', DIM);
});
afterAll(() => workshop.close());

async function embed(options: Partial<EmbeddingOptions> = {}) {
  const all = { hearing: WHOLE_CLIP, normalize: false, ...options };
  return (await withClip(CLIP, (clip) => embedClip(clip, all, deps))).embeddings;
}

function expectNear(vector: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(vector).toHaveLength(expected.length);
  Array.from(vector).forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 4);
  });
}

const maxOfRows = (some: readonly Float32Array[]) =>
  Array.from({ length: DIM }, (_, i) => Math.max(...some.map((row) => row[i]!)));

describe('embedClip', () => {
  it('gives one vector of all rows unless told otherwise', async () => {
    const [only, ...others] = await embed();
    expect(others).toEqual([]);
    expectNear(only!.vector, meanOfRows(rows));
    expect([only!.channel, only!.startSeconds]).toEqual([0, 0]);
    expect(only!.endSeconds).toBeCloseTo(21.3, 3);
  });

  it('gives the rows themselves, on a grid of 160 ms', async () => {
    const embeddings = await embed({ granularity: 'row' });
    expect(embeddings.map(({ vector }) => [...vector])).toEqual(rows.map((row) => [...row]));
    embeddings.forEach(({ startSeconds, endSeconds }, i) => {
      expect(startSeconds).toBeCloseTo(0.16 * i, 9);
      expect(endSeconds).toBeCloseTo(0.16 * (i + 1), 9);
    });
  });

  it('gives one of each window, the mean of its rows, with its times', async () => {
    const embeddings = await embed({ granularity: 'window' });
    expect(embeddings).toHaveLength(3);
    embeddings.forEach(({ vector, startSeconds, endSeconds }, i) => {
      expectNear(vector, meanOfRows(rowsOf([windows[i]!], 'row_embeddings', DIM)));
      expect([startSeconds, endSeconds]).toEqual([
        windows[i]!.startSeconds,
        windows[i]!.endSeconds,
      ]);
    });
  });

  it('takes the largest values of the rows of a window and of the clip', async () => {
    const [only] = await embed({ pooling: 'max' });
    expect([...only!.vector]).toEqual(maxOfRows(rows));
    const ofWindows = await embed({ pooling: 'max', granularity: 'window' });
    ofWindows.forEach(({ vector }, i) => {
      expect([...vector]).toEqual(maxOfRows(rowsOf([windows[i]!], 'row_embeddings', DIM)));
    });
  });

  it.each(['clip', 'window', 'row'] as const)(
    'scales each %s vector to unit length',
    async (granularity) => {
      const plain = await embed({ granularity });
      const unit = await embed({ granularity, normalize: true });
      expect(unit).toHaveLength(plain.length);
      unit.forEach(({ vector }, i) => {
        const length = Math.hypot(...plain[i]!.vector);
        expectNear(
          vector,
          plain[i]!.vector.map((value) => value / length),
        );
      });
    },
  );

  it('stops at an answer that would be too long', async () => {
    const tooLong = embed({ granularity: 'row', maxValues: 132 * DIM });
    await expect(tooLong).rejects.toMatchObject({ code: 'invalid_value' });
    expect(await embed({ granularity: 'row', maxValues: 133 * DIM })).toHaveLength(133);
  });
});
