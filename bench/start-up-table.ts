import { readFileSync } from 'node:fs';
import { type Tables, toTable } from './marked-tables.js';

/** What one model takes in one precision. */
export interface StartUpRow {
  readonly model: string;
  readonly precision: string;
  /** Of the weights and the graph that an engine opens, tokenizer included. */
  readonly graphBytes: number;
  readonly limitSeconds: number;
  /** Seconds until ready with two engines, as a share of the limit: one for each round. */
  readonly readyShares: readonly number[];
  /** Of an engine after some clips, where there are so many: its own, and that with its part of the pages of files. */
  readonly engines: readonly {
    readonly engines: number;
    readonly privateBytes: number;
    readonly proportionalBytes: number;
  }[];
}

export interface StartUpResults {
  readonly machine: string;
  readonly rows: readonly StartUpRow[];
}

export const RESULTS_FILE = new URL('./results/start-up.json', import.meta.url);
const TITLES = [
  'model',
  'precision',
  'graphs, MiB',
  'time until ready, of its limit',
  'own memory, one engine',
  'own, each of two',
  'with files, one engine',
  'with files, each of two',
];

export const readStartUp = (): StartUpResults => JSON.parse(readFileSync(RESULTS_FILE, 'utf8'));

/** With what they were measured on, by the name of its marks. */
export function startUpTables(results: StartUpResults): Tables {
  return { 'bench:start-up': `${tableOf(results)}\n\nMachine: ${results.machine}.` };
}

export function tableOf({ rows }: StartUpResults): string {
  return toTable(TITLES, rows.map(cellsOf));
}

function cellsOf(row: StartUpRow): readonly string[] {
  const { model, precision, limitSeconds, graphBytes, readyShares, engines } = row;
  const sorted = readyShares.toSorted((a, b) => a - b);
  const [low, middle, high] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((i) =>
    (sorted[i] ?? Number.NaN).toFixed(2),
  );
  const of = (count: number) => engines.find((each) => each.engines === count);
  return [
    model,
    precision,
    mebibytes(graphBytes),
    `${middle} (${low} to ${high}) of ${limitSeconds} s`,
    mebibytes(of(1)?.privateBytes),
    mebibytes(of(2)?.privateBytes),
    mebibytes(of(1)?.proportionalBytes),
    mebibytes(of(2)?.proportionalBytes),
  ];
}

const mebibytes = (bytes = Number.NaN) => String(Math.round(bytes / 2 ** 20));
