/** ARCHITECTURE.md has one line for each source file of both halves and of the page. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');

function filesIn(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .toSorted();
}

/** Paths at the start of a line of a listing, each followed by what the file is for. */
function listed(pattern: RegExp): string[] {
  return [...page.matchAll(pattern)].map(([, path]) => path ?? '').toSorted();
}

test('every file of the service has its line, and no other', () => {
  expect(listed(/^((?!page\/)\S+\.ts) +\S/gm)).toEqual(filesIn('src', /(?<!\.d)\.ts$/));
});

test('every file of the page has its line, and no other', () => {
  expect(listed(/^page\/(\S+\.ts) +\S/gm)).toEqual(filesIn('page', /\.ts$/));
});

test('every file of training has its line, and no other', () => {
  expect(listed(/^(\S+\.py) +\S/gm)).toEqual(
    filesIn('training/earshot_training', /(?<!__init__)\.py$/),
  );
});
