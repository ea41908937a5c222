/** SECURITY.md names for each threat a test that is there, and settings that are. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const url = (path: string) => new URL(`../${path}`, import.meta.url);
const page = readFileSync(url('SECURITY.md'), 'utf8');
const rows = [...page.matchAll(/^\| (.+) \| (.+) \| (.+) \|$/gm)]
  .map(([, threat = '', guard = '', tests = '']) => ({ threat, guard, tests }))
  .filter(({ threat }) => threat !== 'threat' && threat !== '---');

test('there are threats', () => {
  expect(rows.length).toBeGreaterThan(20);
});

test.each(rows)('$threat', ({ tests }) => {
  const paths = [...tests.matchAll(/`((?:test\/[\w/-]+\.test|faults\/[\w-]+)\.ts)`/g)].map(
    ([, path]) => path ?? '',
  );
  expect(paths.length).toBeGreaterThan(0);
  expect(paths.filter((path) => !existsSync(url(path)))).toEqual([]);
});

test('every setting that is named is one', () => {
  const settings = readFileSync(url('docs/configuration.md'), 'utf8');
  const named = [...page.matchAll(/\b([A-Z]+(?:_[A-Z]+)+)\b/g)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect.soft(settings, name).toContain(`| \`${name}\` |`);
});
