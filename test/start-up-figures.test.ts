/** What docs/performance.md says of start and memory is what the last run of the benchmark found. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withTables } from '../bench/marked-tables.js';
import {
  readStartUp,
  type StartUpResults,
  startUpTables,
  tableOf,
} from '../bench/start-up-table.js';

const page = readFileSync(new URL('../docs/performance.md', import.meta.url), 'utf8');

const quoted = (text: string, results: StartUpResults) => withTables(text, startUpTables(results));

test('the table is that of the results', () => {
  const results = readStartUp();
  expect(results.rows.length).toBeGreaterThan(0);
  expect(quoted(page, results)).toBe(page);
});

test('another result, and another figure in the page, would be noticed', () => {
  const results = readStartUp();
  const [first, ...others] = results.rows;
  if (first === undefined) throw new Error('Expected a row');
  const slower = { ...first, readyShares: first.readyShares.map((share) => 2 * share) };
  expect(quoted(page, { ...results, rows: [slower, ...others] })).not.toBe(page);
  const [line = ''] = tableOf({ ...results, rows: [first] })
    .split('\n')
    .slice(-1);
  expect(page).toContain(line);
  const other = page.replace(
    line,
    line.replace(/\d/, (digit) => String((Number(digit) + 1) % 10)),
  );
  expect(quoted(other, results)).toBe(page);
});
