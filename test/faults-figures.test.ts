/** Figures of the fault suites that README quotes are those of the last full run. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const url = (path: string) => new URL(`../${path}`, import.meta.url);

/** A number that a suite found, as README has it: `` | `suite` | figure | value | ``. */
interface Quote {
  readonly suite: string;
  readonly figure: string;
  readonly value: string;
}

type Results = { readonly suites: readonly SuiteFigures[] };
interface SuiteFigures {
  readonly name: string;
  readonly figures: readonly { readonly name: string; readonly value: number }[];
}

const DIGITS = 3;

function quotesIn(text: string): Quote[] {
  return [...text.matchAll(/^\| `([\w-]+)` \| (.+?) \| (-?[\d.]+) \|$/gm)].map(
    ([, suite = '', figure = '', value = '']) => ({ suite, figure, value }),
  );
}

/** Quotes that are no rounding of what was found. */
function wrongIn(quotes: readonly Quote[], { suites }: Results): Quote[] {
  return quotes.filter(({ suite, figure, value }) => {
    const figures = suites.find(({ name }) => name === suite)?.figures ?? [];
    const found = figures.find(({ name }) => name === figure)?.value;
    return found === undefined || Number(found.toPrecision(DIGITS)) !== Number(value);
  });
}

test('README quotes what was found', () => {
  const quotes = quotesIn(readFileSync(url('README.md'), 'utf8'));
  const path = url('bench/results/faults.json');
  const none: Results = { suites: [] };
  const results = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Results) : none;
  expect(wrongIn(quotes, results)).toEqual([]);
});

test('a quote of another value, or of nothing, is noticed', () => {
  const text = '| `overload` | goodput, of the capacity | 0.971 |\n| `gone` | lost | 0 |\n';
  const suites = [
    { name: 'overload', figures: [{ name: 'goodput, of the capacity', value: 0.97142 }] },
  ];
  expect(quotesIn(text)).toHaveLength(2);
  expect(wrongIn(quotesIn(text), { suites })).toMatchObject([{ suite: 'gone' }]);
  const other = text.replace('0.971', '0.98');
  expect(wrongIn(quotesIn(other), { suites })).toHaveLength(2);
});
