/** Figures of the fault suites that README quotes are those of the last full run. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withTables } from '../bench/marked-tables.js';
import { faultTables, type QuotedResult } from '../faults/readme-table.js';
import { missesOf } from '../faults/suite.js';
import { suites } from '../faults/suites.js';

const textOf = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const results = JSON.parse(textOf('bench/results/faults.json')) as {
  suites: (QuotedResult & { controlMissed: string })[];
};
const readme = textOf('README.md');

test('README quotes what was found', () => {
  expect(withTables(readme, faultTables(results.suites))).toBe(readme);
});

test('every suite was run, kept its bounds, and missed one without its guard', () => {
  expect(results.suites.map(({ name }) => name)).toEqual(suites.map(({ name }) => name));
  for (const { name, figures, controlMissed } of results.suites) {
    expect.soft(missesOf(figures, 'full'), name).toEqual([]);
    expect.soft(controlMissed, name).not.toBe('');
  }
});

test('another value is another table', () => {
  const other = structuredClone(results.suites).map((suite) => ({
    ...suite,
    figures: suite.figures.map((figure) => ({ ...figure, value: figure.value + 1 })),
  }));
  expect(withTables(readme, faultTables(other))).not.toBe(readme);
});

test('a suite without results is noticed', () => {
  expect(() => faultTables(results.suites.slice(1))).toThrow('of overload');
});
