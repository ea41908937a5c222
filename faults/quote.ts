/** `npm run faults:quote`: brings README's table up to the results of the last full run. */
import { readFile, writeFile } from 'node:fs/promises';
import { withTables } from '../bench/marked-tables.js';
import { faultTables, type QuotedResult } from './readme-table.js';

const README = new URL('../README.md', import.meta.url);
const RESULTS = new URL('../bench/results/faults.json', import.meta.url);

const { suites } = JSON.parse(await readFile(RESULTS, 'utf8')) as { suites: QuotedResult[] };
await writeFile(README, withTables(await readFile(README, 'utf8'), faultTables(suites)));
