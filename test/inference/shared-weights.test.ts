/** Engines hold one copy of weights that lie beside a graph, if there are several engines. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadModelCard } from '../../src/inference/model-card.js';
import { enginePids, startTiny, TinyCopy } from './tiny-model.js';

/** Of the tiny model's matrices, which an engine would rather have in an order of its own; its convolutions stay as they are. */
const MATRIX_BYTES = 100_000;

/** Bytes of the file of weights that this engine has mapped into its memory. */
function mappedBytes(pid: number): number {
  const regions = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n');
  const ofWeights = regions.filter((region) => region.endsWith('/encoder.fp32.data'));
  return ofWeights.reduce((sum, region) => {
    const [begin = 0, end = 0] = region
      .split(/[- ]/)
      .map((address) => Number.parseInt(address, 16));
    return sum + end - begin;
  }, 0);
}

it.skipIf(process.platform !== 'linux')(
  'two engines use the weights as they lie in the file, one alone does not',
  async () => {
    await using copy = await TinyCopy.create();
    await copy.splitGraph();
    const mapped: number[] = [];
    for (const engines of [2, 1]) {
      const registry = await startTiny({ modelsDir: copy.modelsDir, engines });
      mapped.push(...new Set(enginePids().map(mappedBytes)));
      await registry.close();
    }
    const { bytes = 0 } = (await loadModelCard(copy.folder)).graphs.encoder.fp32.externalData ?? {};
    const [ofTwo = 0, ofOne = 0] = mapped;
    expect(mapped).toHaveLength(2);
    expect(ofTwo).toBeGreaterThan(0.99 * bytes);
    expect(ofOne).toBeLessThan(ofTwo - MATRIX_BYTES);
  },
);
