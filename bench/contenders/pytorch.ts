import type { Contender } from '../contender.js';
import { python, pythonFile } from '../prepare.js';
import { ChildContender } from './child.js';
import type { RivalOptions } from './rival-options.js';

/** The base model in eager PyTorch: as the released code runs it, or as training does. */
export function openPytorch(
  form: 'released' | 'ours',
  { name, waveform }: RivalOptions,
): Promise<Contender> {
  const args = [pythonFile('pytorch_contender.py'), '--form', form, '--waveform', waveform];
  return ChildContender.open({ ...python, name, args, runsPerTurn: 1 });
}
