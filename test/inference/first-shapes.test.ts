/** No shape is run for the first time on a request; without a warm-up it would be, and the metric says so. */
import { expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics.js';
import { startTiny, TOKEN_MODELS_DIR, windowOf } from './tiny-model.js';

const LENGTHS_SECONDS = [0.175, 1, 2, 2.5, 6, 9.9, 10, 1, 0.5, 3];

async function firstShapesOf({ warmup }: { warmup: boolean }): Promise<number[]> {
  const metrics = createMetrics({
    versions: { service: '1.2.3', onnxruntime: '1.30.0' },
    routes: [],
    isReady: () => true,
    isDraining: () => false,
  });
  const registry = await startTiny({
    ...{ modelsDir: TOKEN_MODELS_DIR, model: 'tiny-tokens', batching: 'bucketed' },
    ...{ warmup, observer: metrics },
  });
  const windows = LENGTHS_SECONDS.map((seconds, i) => windowOf(seconds, i + 1));
  // Mixed lengths together and alone, of both graphs.
  for (const outputs of [['clip_logits'], ['tokens']] as const) {
    await registry.get().run(windows, { outputs });
    for (const window of windows) await registry.get().run([window], { outputs });
  }
  await registry.close();
  const text = await metrics.render();
  const buckets = text.match(/^earshot_batch_windows_count\{.*\} [1-9]\d*$/gm);
  expect(buckets?.length).toBeGreaterThan(0);
  const counted = text.matchAll(/^earshot_first_shape_runs_total\{.*\} (\d+)$/gm);
  return [...counted].map(([, count]) => Number(count));
}

it('counts none with batches of fixed shapes that were warmed, and some without', async () => {
  expect((await firstShapesOf({ warmup: true })).every((count) => count === 0)).toBe(true);
  const without = await firstShapesOf({ warmup: false });
  expect(without.length).toBeGreaterThan(3);
  expect(Math.max(...without)).toBe(2);
});
