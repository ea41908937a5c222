import { join } from 'node:path';
import type { BenchedPrecision } from '../clip-work.js';
import type { Contender } from '../contender.js';
import { preparePackage, prepareRivalGraphs } from '../prepare.js';
import { openNodeChild } from './child.js';
import type { RivalOptions } from './rival-options.js';

const PACKAGE = 'sherpa-onnx-node';
const VERSION = '1.13.8';
const FILES = { fp32: 'model.onnx', int8: 'model.int8.onnx' } as const;

/** sherpa-onnx with the base backbone as a CED. */
export async function openSherpaOnnx(
  precision: BenchedPrecision,
  { name, waveform }: RivalOptions,
): Promise<Contender> {
  const installed = preparePackage(PACKAGE, VERSION);
  const folder = join(prepareRivalGraphs(), 'ced');
  const graph = join(folder, FILES[precision]);
  const args = [installed, graph, join(folder, 'labels.csv'), waveform];
  return openNodeChild('sherpa-child.ts', args, {
    name,
    runsPerTurn: 1,
  });
}
