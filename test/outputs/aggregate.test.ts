import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { splitIntoWindows } from '../../src/audio/window.js';
import { OUTPUT_NAMES, type WindowOutput } from '../../src/inference/batch.js';
import type { ModelRegistry } from '../../src/inference/model-registry.js';
import { aggregateWindows } from '../../src/outputs/aggregate.js';
import { largestDifference, startTiny, windowOf } from '../inference/tiny-model.js';

/** Mean over all rows of all windows, written out. */
function meanOfRows(
  windows: readonly WindowOutput[],
  name: 'row_logits' | 'row_embeddings',
  width: number,
) {
  const sums = new Float64Array(width);
  const rows = windows.reduce((sum, window) => sum + window.rows, 0);
  for (const { values } of windows) {
    values[name]?.forEach((value, i) => {
      sums[i % width]! += value;
    });
  }
  return Float32Array.from(sums, (sum) => sum / rows);
}

describe('aggregateWindows', () => {
  let registry: ModelRegistry;
  beforeAll(async () => {
    registry = await startTiny({ warmup: false });
  });
  afterAll(() => registry.close());

  // The last window has 62, 1 and 7 rows.
  it.each([20, 10.1, 21])('is the mean over all rows of a clip of %s s', async (seconds) => {
    const waveform = { samples: windowOf(seconds).samples, sampleRate: 16_000 };
    const windows = splitIntoWindows(waveform, { windowSeconds: 10, minSamples: 2800 });
    const outputs = await registry.get().run(windows, { outputs: OUTPUT_NAMES });
    const logits = aggregateWindows(outputs, 'clip_logits');
    const embedding = aggregateWindows(outputs, 'clip_embedding');
    expect(largestDifference(logits, meanOfRows(outputs, 'row_logits', 527))).toBeLessThan(1e-4);
    expect(largestDifference(embedding, meanOfRows(outputs, 'row_embeddings', 32))).toBeLessThan(
      1e-4,
    );
  });

  it('weighs a window by its rows', () => {
    const windows = [
      { rows: 62, values: { clip_logits: Float32Array.of(1, 0) } },
      { rows: 2, values: { clip_logits: Float32Array.of(0, 32) } },
    ];
    expect([...aggregateWindows(windows, 'clip_logits')]).toEqual([0.96875, 1]);
  });

  it('refuses windows without the output, and no windows', () => {
    expect(() => aggregateWindows([{ rows: 1, values: {} }], 'clip_embedding')).toThrow(
      'Expected clip_embedding of every window',
    );
    expect(() => aggregateWindows([], 'clip_logits')).toThrow('at least one row');
  });
});
