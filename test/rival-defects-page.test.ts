/** Every test that docs/rival-defects.md promises is there, by its name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const page = readFileSync(join(ROOT, 'docs/rival-defects.md'), 'utf8');
const rows = [...page.matchAll(/^\| (.+) \| (.+) \| `(.+)` \|$/gm)].map(
  ([, defect, name, file]) => ({
    defect: defect ?? '',
    name: name ?? '',
    file: file ?? '',
  }),
);

test('the page has a row for every defect that is known', () => {
  expect(rows.length).toBeGreaterThanOrEqual(19);
});

test.each(rows)('$defect', ({ name, file }) => {
  expect(readFileSync(join(ROOT, file), 'utf8')).toContain(name);
});
