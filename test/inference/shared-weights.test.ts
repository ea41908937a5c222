/** Engines hold one copy of the float weights that lie beside a graph, if there are several engines. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadModelCard, type Precision } from '../../src/inference/model-card.js';
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
  'two engines use float weights as they lie in the file; one alone, and int8, do not',
  async () => {
    await using copy = await TinyCopy.create();
    await copy.splitGraph();
    // The same graph under the other name: what counts here is how it is opened.
    await copy.addGraph('int8', undefined);
    const mappedBy = async (engines: number, precision: Precision) => {
      const registry = await startTiny({ modelsDir: copy.modelsDir, engines, precision });
      const mapped = new Set(enginePids().map(mappedBytes));
      await registry.close();
      expect(mapped.size).toBe(1);
      return Math.max(...mapped);
    };
    const { bytes = 0 } = (await loadModelCard(copy.folder)).graphs.encoder.fp32.externalData ?? {};
    const shared = await mappedBy(2, 'fp32');
    expect(shared).toBeGreaterThan(0.99 * bytes);
    expect(await mappedBy(1, 'fp32')).toBeLessThan(shared - MATRIX_BYTES);
    expect(await mappedBy(2, 'int8')).toBeLessThan(shared - MATRIX_BYTES);
  },
);
