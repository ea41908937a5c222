/** `npm run bench:quote`: puts the results of the last runs into the marked tables of README and docs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { readResults } from './results.js';
import { quoteTables } from './tables.js';

for (const page of ['README.md', 'docs/performance.md']) {
  const path = new URL(`../${page}`, import.meta.url);
  writeFileSync(path, quoteTables(readFileSync(path, 'utf8'), readResults()));
}
