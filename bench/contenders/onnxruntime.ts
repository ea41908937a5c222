import { join } from 'node:path';
import type { BenchedPrecision } from '../clip-work.js';
import { contenderName } from '../figures.js';
import { type ChildContender, openNodeChild } from './child.js';

const SESSION_RUNS = { fp32: 1, int8: 2 } as const;
const SHORT_CLIPS_PER_LONG = 6;
const MATRIX_RUNS = { fp32: 6, int8: 20 } as const;

/** ONNX Runtime alone on a model's own graph, which is what an engine does. */
export function openSession(
  modelFolder: string,
  waveform: string,
  { precision, seconds }: { readonly precision: BenchedPrecision; readonly seconds: number },
): Promise<ChildContender> {
  const graph = join(modelFolder, `encoder.${precision}.onnx`);
  const runsPerTurn = SESSION_RUNS[precision] * (seconds < 10 ? SHORT_CLIPS_PER_LONG : 1);
  const name = contenderName.session(precision, seconds);
  return openNodeChild('session-child.ts', [graph, waveform], { name, runsPerTurn });
}

/** Products of matrices of a layer's shapes, and nothing else. */
export function openMatrix(folder: string, precision: BenchedPrecision): Promise<ChildContender> {
  const graph = join(folder, `matrix.${precision}.onnx`);
  const options = { name: contenderName.matrix(precision), runsPerTurn: MATRIX_RUNS[precision] };
  return openNodeChild('matrix-child.ts', [graph], options);
}
