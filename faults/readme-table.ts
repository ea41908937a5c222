/** The figures of the last full run that README quotes. */
import type { SuiteResult } from './report.js';
import { boundOf } from './suite.js';

const START = '<!-- faults:start -->';
const END = '<!-- faults:end -->';
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
  'slow-senders': ['senders that drip', 'not cut off', 'the other had to wait, ms'],
  departures: ['gone after sending', 'gone while sending', 'files left in the spool'],
  ending: ['requests', 'lost', 'exit after the last reply, most ms'],
  'sudden-ends': ['files left by them', 'files left after the next start'],
  leaks: ['requests', 'live bytes more per request'],
  'hostile-files': ['files', 'answered 5xx', 'p99, times that of honest files'],
  'generated-requests': ['requests', 'answered 5xx'],
  'tampered-models': ['bytes changed', 'folders refused'],
  'killed-decoders': ['decoders killed', 'share answered', 'wrong answers'],
  'killed-engines': ['engines killed', 'share answered', 'wrong answers'],
  'poisoned-engines': ['engines poisoned', 'wrong answers'],
};

/**
 * Rows of README's table.
 *
 * @throws Error when a figure that is to be quoted was not found
 */
export function toReadmeTable(results: readonly QuotedResult[]): string {
  const rows = Object.entries(QUOTED).flatMap(([suite, names]) =>
    names.map((name) => toRow(suite, name, results)),
  );
  return ['| suite | figure | found | bound |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function toRow(suite: string, name: string, results: readonly QuotedResult[]): string {
  const figures = results.find((result) => result.name === suite)?.figures ?? [];
  const figure = figures.find((each) => each.name === name);
  if (figure === undefined)
    throw new Error(`Expected the figure "${name}" of ${suite}, found none`);
  const { value, atLeast, atMost } = figure;
  const rounded = { name, value, ...(atLeast !== undefined && { atLeast: toShort(atLeast) }) };
  const bound = boundOf({ ...rounded, ...(atMost !== undefined && { atMost: toShort(atMost) }) });
  return `| \`${suite}\` | ${name} | ${toShort(value)} | ${bound} |`;
}

/** Counts as they are, everything else to three digits. */
const toShort = (value: number): number =>
  Number.isInteger(value) ? value : Number(value.toPrecision(DIGITS));

/**
 * What stands between the marks.
 *
 * @throws Error where there are none
 */
export function tableIn(readme: string): string {
  const [, rest, ...others] = readme.split(START);
  const [table, end] = rest?.split(END) ?? [];
  if (table === undefined || end === undefined || others.length > 0)
    throw new Error(`Expected one ${START} and ${END} in README.md`);
  return table.trim();
}

export function withTable(readme: string, table: string): string {
  tableIn(readme);
  const [before, rest = ''] = readme.split(START);
  const [, after] = rest.split(END);
  return `${before}${START}\n${table}\n${END}${after}`;
}
