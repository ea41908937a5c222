/** The figures of the last full run that README quotes. */
import { type Tables, toTable } from '../bench/marked-tables.js';
import type { SuiteResult } from './report.js';
import { boundOf } from './suite.js';

const DIGITS = 3;

export type QuotedResult = Pick<SuiteResult, 'name' | 'figures'>;

/** What a reader wants to know first, suite by suite. */
const QUOTED: Readonly<Record<string, readonly string[]>> = {
  overload: [
    'requests',
    'neither 200 nor 429',
    'goodput, of the capacity',
    'refused within, p99 ms',
  ],
  recovery: ['next client served within, most ms'],
  fairness: ['modest answered, share'],
  deadlines: ['answered 504', 'late by, most ms'],
  'slow-senders': ['senders that drip', 'not cut off', 'the other had to wait, ms'],
  departures: ['gone after sending', 'gone while sending', 'files left in the spool'],
  ending: ['requests', 'lost', 'exit after the last reply, most ms'],
  'sudden-ends': ['files left by them', 'files left after the next start'],
  leaks: ['requests', 'live bytes more per request'],
  'hostile-files': ['files', 'answered 5xx', 'p99, times that of honest files'],
  'decompression-bombs': ['times an honest file of its format costs, most'],
  'generated-requests': ['requests', 'answered 5xx'],
  'tampered-models': ['bytes changed', 'folders refused'],
  'killed-decoders': ['decoders killed', 'share answered', 'wrong answers'],
  'killed-engines': ['engines killed', 'share answered', 'wrong answers'],
  'poisoned-engines': ['engines poisoned', 'wrong answers'],
};

/**
 * README's table, by the name of its marks.
 *
 * @throws Error when a figure that is to be quoted was not found
 */
export function faultTables(results: readonly QuotedResult[]): Tables {
  const rows = Object.entries(QUOTED).flatMap(([suite, names]) =>
    names.map((name) => toRow(suite, name, results)),
  );
  return { faults: toTable(['suite', 'figure', 'found', 'bound'], rows) };
}

function toRow(suite: string, name: string, results: readonly QuotedResult[]): readonly string[] {
  const figures = results.find((result) => result.name === suite)?.figures ?? [];
  const figure = figures.find((each) => each.name === name);
  if (figure === undefined)
    throw new Error(`Expected the figure "${name}" of ${suite}, found none`);
  const { value, atLeast, atMost } = figure;
  const rounded = { name, value, ...(atLeast !== undefined && { atLeast: toShort(atLeast) }) };
  const bound = boundOf({ ...rounded, ...(atMost !== undefined && { atMost: toShort(atMost) }) });
  return [`\`${suite}\``, name, String(toShort(value)), bound];
}

/** Counts as they are, everything else to three digits. */
const toShort = (value: number): number =>
  Number.isInteger(value) ? value : Number(value.toPrecision(DIGITS));
