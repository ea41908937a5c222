/** docs/runbook.md alerts over metrics that exist, and names codes, settings and log lines that there are. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PROBLEM_CODES } from '../src/errors.js';
import { STAGES } from '../src/metrics/clip-metrics.js';
import { createMetrics } from '../src/metrics.js';

const url = (path: string) => new URL(`../${path}`, import.meta.url);
const page = readFileSync(url('docs/runbook.md'), 'utf8');
const alerts = page
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    name: section.split('\n', 1)[0] ?? '',
    expression: /^```promql\n(.+?)\n```$/ms.exec(section)?.[1] ?? '',
  }));

/** Names of a metric that queries may use. */
function namesOf([name = '', kind = '']: readonly string[]): string[] {
  if (kind !== 'histogram') return [name];
  return ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`);
}

const isReady = () => true;
const metrics = createMetrics({
  versions: { service: '0.0.0', onnxruntime: '0.0.0' },
  routes: [],
  isReady,
  isDraining: isReady,
});
const known = new Set(
  [...(await metrics.render()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, ...type]) =>
    namesOf(type),
  ),
);

test('there are alerts', () => {
  expect(alerts.length).toBeGreaterThan(10);
  expect(new Set(alerts.map(({ name }) => name)).size).toBe(alerts.length);
});

test.each(alerts)('$name watches metrics that there are', ({ name, expression }) => {
  expect(name).toMatch(/^Earshot[A-Z]\w+$/);
  const watched = expression.match(/\b(?:earshot|nodejs|process)_\w+/g) ?? [];
  expect(watched.length).toBeGreaterThan(0);
  expect(watched.filter((metric) => !known.has(metric))).toEqual([]);
});

test('what is told beside the expressions, too', () => {
  const told = [...page.matchAll(/\bearshot_\w+/g)].map(([metric]) => metric);
  expect(told.filter((metric) => !known.has(metric))).toEqual([]);
});

test.each([
  ['code', [...PROBLEM_CODES]],
  ['stage', [...STAGES]],
  ['outcome', ['ok', 'client_gone', ...PROBLEM_CODES]],
] as const)('values of %s in expressions are such', (label, values) => {
  const matchers = [...page.matchAll(new RegExp(`\\b${label}[=!]~?"([^"]+)"`, 'g'))];
  const asked = matchers.flatMap(([, value = '']) => value.split('|'));
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.filter((value) => !(values as readonly string[]).includes(value))).toEqual([]);
});

test('every setting that is named is one', () => {
  const settings = readFileSync(url('docs/configuration.md'), 'utf8');
  const named = [...page.matchAll(/\b([A-Z]+(?:_[A-Z]+)+)\b/g)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect.soft(settings, name).toContain(`| \`${name}\` |`);
});

test.each([
  ['No engine came up', 'src/inference/model.ts'],
  ['CUDA cannot be used', 'src/inference/model.ts'],
])('"%s" is written by %s', (words, path) => {
  expect(page).toContain(words);
  expect(readFileSync(url(path), 'utf8')).toContain(words);
});
