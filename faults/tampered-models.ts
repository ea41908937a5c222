import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModelCard } from '../src/inference/model-card.js';
import { enginePids, startTiny, TinyCopy } from '../test/inference/tiny-model.js';
import { SeededDraws } from './seeded-draws.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const FLIPS = { smoke: 12, full: 100 } as const;
const SEED = 12;

/** Model folders of which one byte, anywhere, is another. */
export const tamperedModels: FaultSuite = {
  name: 'tampered-models',
  shows: 'a model folder with any byte changed is refused, whichever file it is in',
  control: 'the checksums are brought up to the change',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const flips = FLIPS[size];
    const draws = new SeededDraws(SEED);
    const enginesBefore = enginePids().length;
    await using copy = await TinyCopy.create();
    const files = readdirSync(copy.folder).sort();
    let refused = 0;
    for (let flip = 0; flip < flips; flip++) {
      // Each file in its turn: by its size alone, hardly a byte would be outside the graph.
      const path = join(copy.folder, files[flip % files.length] as string);
      if (await isRefused(copy, path, { draws, isGuarded })) refused += 1;
    }
    const enginesLeft = enginePids().length - enginesBefore;
    return [
      { name: 'files of the folder', value: files.length, atLeast: 4 },
      { name: 'bytes changed', value: flips, atLeast: flips },
      { name: 'folders refused', value: refused, atLeast: flips },
      { name: 'engines left', value: enginesLeft, atMost: 0 },
    ];
  },
};

async function isRefused(
  copy: TinyCopy,
  path: string,
  { draws, isGuarded }: { draws: SeededDraws; isGuarded: boolean },
): Promise<boolean> {
  const good = readFileSync(path);
  const changed = Buffer.from(good);
  const at = draws.below(changed.length);
  changed[at] = (changed[at] ?? 0) ^ (1 + draws.below(255));
  writeFileSync(path, changed);
  try {
    if (!isGuarded) await copy.sign();
    return await failsToStart(copy);
  } finally {
    writeFileSync(path, good);
    await copy.sign();
  }
}

/** The card first: what it refuses needs no engine. */
async function failsToStart({ folder, modelsDir }: TinyCopy): Promise<boolean> {
  try {
    await loadModelCard(folder);
    const registry = await startTiny({ modelsDir });
    await registry.close();
    return false;
  } catch {
    return true;
  }
}
