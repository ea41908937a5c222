/** The tables of README and docs/performance.md are those of the last run of the benchmark. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { clipWork, leastSeconds, matrixWork } from '../bench/clip-work.js';
import { measureRounds } from '../bench/contender.js';
import { contenderName, coreFigures, PRECISIONS, rivalFigure } from '../bench/figures.js';
import { withTables } from '../bench/marked-tables.js';
import { type BenchResults, readResults } from '../bench/results.js';
import { ratios, summarise } from '../bench/statistics.js';
import { tablesOf } from '../bench/tables.js';

const emptyPart = { rounds: 0, rows: [] };
const quoted = (text: string, results: BenchResults) => withTables(text, tablesOf(results));
const PAGES = ['README.md', 'docs/performance.md'];
const read = (page: string) => readFileSync(new URL(`../${page}`, import.meta.url), 'utf8');

test.each(PAGES)('%s quotes what was found', (page) => {
  const text = read(page);
  expect(text).toContain('<!-- bench:');
  expect(text).toBe(quoted(text, readResults()));
});

test('another figure in a table is noticed, and so is another result', () => {
  const figure = { key: 'limit', title: 'share', target: { atLeast: 0.8 } };
  const resultsWith = (values: number[]): BenchResults => {
    const [core, none] = [{ rounds: 3, rows: [{ ...figure, ...summarise(values) }] }, emptyPart];
    return { machine: 'any', core, rivals: none, cores: none, training: none };
  };
  const results = resultsWith([0.8125, 0.75, 0.9]);
  const text = quoted('<!-- bench:core -->\n<!-- /bench:core -->\n', results);
  expect(text).toContain('| share | 0.813 (0.750 to 0.900) | at least 0.8 | yes |');
  expect(quoted(text.replace('0.813', '0.823'), results)).toBe(text);
  expect(quoted(text, resultsWith([0.7, 0.75, 0.9]))).toContain('at least 0.8 | no |');
});

test('a page without marks, or with one end too few, is refused', () => {
  const tables = { 'bench:core': '| a |', 'bench:rivals': '| b |' };
  expect(() => withTables('# Speed', tables)).toThrow('marks of bench:core or bench:rivals');
  const half = '<!-- bench:core -->\n<!-- /bench:core -->\n<!-- bench:rivals -->\n';
  expect(() => withTables(half, tables)).toThrow('one <!-- /bench:rivals --> after it');
  expect(() => withTables(half.repeat(2), tables)).toThrow('one <!-- bench:core -->');
});

describe('how figures are made', () => {
  test('a summary has the middle and both ends', () => {
    expect(summarise([3, 1, 2])).toMatchObject({ median: 2, lowest: 1, highest: 3 });
    expect(summarise([4, 1, 2, 3]).median).toBe(2.5);
  });

  test('a slow round cancels in a ratio', () => {
    expect(ratios([2, 20, 2], [1, 10, 1])).toMatchObject({ median: 2, lowest: 2, highest: 2 });
    expect(() => ratios([1], [1, 2])).toThrow('as many rounds');
  });

  test('who stands twice in a round counts with the mean, and the order is kept', async () => {
    const calls: string[] = [];
    const contender = (name: string, seconds: number[]) => ({
      name,
      version: '',
      turn: async () => {
        calls.push(name);
        return seconds.shift() ?? Number.NaN;
      },
      close: async () => {},
    });
    const [products, session] = [contender('products', [1, 3, 5, 7]), contender('session', [8, 9])];
    const turns = await measureRounds([products, session, products], 2);
    expect(Object.fromEntries(turns)).toEqual({ products: [2, 6], session: [8, 9] });
    expect(calls.slice(0, 3)).toEqual(['products', 'session', 'products']);
  });

  test('a clip of base size is 84 GFLOP of projections and 11 of all else', () => {
    const { projections, others } = clipWork(160_000);
    expect(projections / 1e9).toBeCloseTo(84.3, 1);
    expect(others / 1e9).toBeCloseTo(10.9, 1);
    expect(projections).toBe(12 * matrixWork('int8'));
  });

  test('a session at the rate of the products has the whole limit, one half as fast has half', () => {
    const rates = { fp32: 1e11, int8: 4e11 };
    const products = {
      fp32: matrixWork('fp32') / rates.fp32,
      int8: matrixWork('int8') / rates.int8,
    };
    const turns = new Map<string, number[]>();
    for (const precision of PRECISIONS) {
      const least = leastSeconds(clipWork(160_000), precision, rates);
      turns.set(contenderName.matrix(precision), [products[precision]]);
      turns.set(contenderName.session(precision), [2 * least]);
      turns.set(contenderName.session(precision, 1), [0.2 * least]);
      for (const format of ['mp3', 'flac'])
        turns.set(contenderName.http(precision, format), [2.5 * least]);
      turns.set(contenderName.http(precision, 'mp3', 1), [0.5 * least]);
      turns.set(`rival-${precision}`, [4 * least]);
    }
    const medians = Object.fromEntries(coreFigures(turns).map(({ key, median }) => [key, median]));
    expect(medians).toMatchObject({
      'limit-fp32': 0.5,
      'limit-int8': 0.5,
      'http-fp32-mp3': 0.8,
      'length-int8': expect.closeTo(0.1, 9),
      'length-http-int8': expect.closeTo(0.2, 9),
      'matrix-int8-over-fp32': expect.closeTo(4, 9),
    });
    const rival = rivalFigure(turns, { name: 'rival-int8', version: '1' }, 'int8');
    expect(rival.earshotOver.median).toBe(2);
    expect(rival.shareOfLimit.median).toBe(0.25);
  });
});
