import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Figure } from './figures.js';
import { python, pythonFile } from './prepare.js';

const RESULTS_FILE = new URL('./results/pretrain.json', import.meta.url);

/** Steps of training beside products of matrices, by `bench/python/pretrain.py`. */
export function measureTraining(rounds: number): readonly Figure[] {
  const { program, cwd, env } = python;
  execFileSync(program, [pythonFile('pretrain.py'), '--blocks', String(rounds)], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { figures } = JSON.parse(readFileSync(RESULTS_FILE, 'utf8')) as { figures: Figure[] };
  return figures;
}
