import { readFileSync, writeFileSync } from 'node:fs';
import type { Figure, Rival } from './figures.js';

/** What the last run of each part came to: `bench/results/bench.json`. */
export interface BenchResults {
  readonly machine: string;
  readonly core: Part<Figure>;
  readonly rivals: Part<Rival>;
  readonly cores: Part<Figure>;
  readonly training: Part<Figure>;
}

interface Part<Row> {
  readonly rounds: number;
  readonly rows: readonly Row[];
}

export const RESULTS_FILE = new URL('./results/bench.json', import.meta.url);

const NONE: Part<never> = { rounds: 0, rows: [] };

/** Results as they stand; parts that were never measured are empty. */
export function readResults(path: URL | string = RESULTS_FILE): BenchResults {
  const empty = { machine: '', core: NONE, rivals: NONE, cores: NONE, training: NONE };
  try {
    return { ...empty, ...(JSON.parse(readFileSync(path, 'utf8')) as Partial<BenchResults>) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return empty;
    throw error;
  }
}

export function writeResults(results: BenchResults, path: URL | string = RESULTS_FILE): void {
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
}
