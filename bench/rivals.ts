import type { BenchedPrecision } from './clip-work.js';
import type { Absent, Contender } from './contender.js';
import { openPytorch } from './contenders/pytorch.js';
import { openSherpaOnnx } from './contenders/sherpa-onnx.js';
import { openTransformersJs } from './contenders/transformers-js.js';

/** A rival that runs, and what it runs in. */
export interface OpenRival {
  readonly contender: Contender;
  readonly precision: BenchedPrecision;
}

interface Candidate {
  readonly name: string;
  readonly precision: BenchedPrecision;
  open(name: string, waveform: string): Promise<Contender>;
}

const CANDIDATES: readonly Candidate[] = [
  {
    name: 'PyTorch, eager, as released',
    precision: 'fp32',
    open: (name, waveform) => openPytorch('released', { name, waveform }),
  },
  {
    name: "PyTorch, eager, training's own",
    precision: 'fp32',
    open: (name, waveform) => openPytorch('ours', { name, waveform }),
  },
  {
    name: 'transformers.js, fp32',
    precision: 'fp32',
    open: (name, waveform) => openTransformersJs('fp32', { name, waveform }),
  },
  {
    name: 'transformers.js, q8',
    precision: 'int8',
    open: (name, waveform) => openTransformersJs('int8', { name, waveform }),
  },
  {
    name: 'sherpa-onnx, fp32',
    precision: 'fp32',
    open: (name, waveform) => openSherpaOnnx('fp32', { name, waveform }),
  },
  {
    name: 'sherpa-onnx, int8',
    precision: 'int8',
    open: (name, waveform) => openSherpaOnnx('int8', { name, waveform }),
  },
];

/** Opens all that this machine can have; the others say why not. */
export async function openRivals(waveform: string): Promise<(OpenRival | Absent)[]> {
  const rivals: (OpenRival | Absent)[] = [];
  for (const { name, precision, open } of CANDIDATES) {
    try {
      rivals.push({ contender: await open(name, waveform), precision });
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
      rivals.push({ name, reason });
    }
  }
  return rivals;
}
