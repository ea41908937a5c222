import { join } from 'node:path';
import type { BenchedPrecision } from '../clip-work.js';
import type { Contender } from '../contender.js';
import { preparePackage, prepareRivalGraphs } from '../prepare.js';
import { openNodeChild } from './child.js';
import type { RivalOptions } from './rival-options.js';

const PACKAGE = '@huggingface/transformers';
const VERSION = '4.3.1';
const DTYPES = { fp32: 'fp32', int8: 'q8' } as const;

/** transformers.js with the base backbone as an audio spectrogram transformer. */
export async function openTransformersJs(
  precision: BenchedPrecision,
  { name, waveform }: RivalOptions,
): Promise<Contender> {
  const installed = preparePackage(PACKAGE, VERSION);
  const folder = join(prepareRivalGraphs(), 'ast');
  const dtype = DTYPES[precision];
  return openNodeChild('transformers-child.ts', [installed, folder, dtype, waveform], {
    name,
    runsPerTurn: 1,
  });
}
