/** Figures of the fault suites that README quotes are those of the last full run. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type QuotedResult, tableIn, toReadmeTable, withTable } from '../faults/readme-table.js';
import { missesOf } from '../faults/suite.js';
import { suites } from '../faults/suites.js';

const textOf = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const results = JSON.parse(textOf('bench/results/faults.json')) as {
  suites: (QuotedResult & { controlMissed: string })[];
};
const readme = textOf('README.md');

test('README quotes what was found', () => {
  expect(tableIn(readme)).toBe(toReadmeTable(results.suites));
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
  expect(toReadmeTable(other)).not.toBe(toReadmeTable(results.suites));
  expect(tableIn(withTable(readme, toReadmeTable(other)))).toBe(toReadmeTable(other));
});

test('a suite without results, and a page without marks, are noticed', () => {
  expect(() => toReadmeTable(results.suites.slice(1))).toThrow('of overload');
  expect(() => tableIn('no marks')).toThrow('Expected one');
});
