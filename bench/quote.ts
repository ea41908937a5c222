/** `npm run bench:quote`: puts the results of the last runs into the marked tables of README and docs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { withTables } from './marked-tables.js';
import { readResults } from './results.js';
import { tablesOf } from './tables.js';

const tables = tablesOf(readResults());
for (const page of ['README.md', 'docs/performance.md']) {
  const path = new URL(`../${page}`, import.meta.url);
  writeFileSync(path, withTables(readFileSync(path, 'utf8'), tables));
}
