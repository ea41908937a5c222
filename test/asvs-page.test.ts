/** docs/asvs.md has every requirement of its chapter once, each with files that show it. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { suites } from '../faults/suites.js';

const url = (path: string) => new URL(`../${path}`, import.meta.url);
const page = readFileSync(url('docs/asvs.md'), 'utf8');
const rows = [...page.matchAll(/^\| (5\.\d\.\d) (.+) \| ([123]) \| (.+) \| (.+) \|$/gm)].map(
  ([, id = '', , , , shownBy = '']) => ({ id, shownBy }),
);

/** Requirements of V5 in ASVS 5.0.0, by section. */
const NUM_REQUIREMENTS = { '5.1': 1, '5.2': 6, '5.3': 3, '5.4': 3 };

test('every requirement of the chapter stands there once', () => {
  const wanted = Object.entries(NUM_REQUIREMENTS).flatMap(([section, count]) =>
    Array.from({ length: count }, (_, index) => `${section}.${index + 1}`),
  );
  expect(rows.map(({ id }) => id)).toEqual(wanted);
});

test.each(rows)('$id names tests and fault suites that are there', ({ shownBy }) => {
  const paths = [...shownBy.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path);
  expect(paths.length).toBeGreaterThan(0);
  for (const path of paths) {
    expect(path).toMatch(/^(test\/[\w/-]+\.test|faults\/[\w-]+)\.ts$/);
    expect(existsSync(url(path)), path).toBe(true);
  }
});

test('every fault suite that it names runs', () => {
  const list = readFileSync(url('faults/suites.ts'), 'utf8');
  const named = [...page.matchAll(/`faults\/([\w-]+)\.ts`/g)].map(([, name = '']) => name);
  expect(suites.length).toBeGreaterThan(0);
  for (const name of named) expect(list).toContain(`'./${name}.js'`);
});
