/** `npm run test:faults`: every suite in full and its control, one table, `bench/results/faults.json`. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Machine, machineNow } from './machine.js';
import { type SuiteResult, toTable } from './report.js';
import type { FaultSuite, SuiteSize } from './suite.js';
import { missesOf } from './suite.js';
import { suites } from './suites.js';

const RESULTS = new URL('../bench/results/faults.json', import.meta.url);

const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const size: SuiteSize = values.smoke ? 'smoke' : 'full';
const machine = machineNow();
const results: SuiteResult[] = [];
for (const suite of chosen(positionals)) {
  const result = await runBoth(suite);
  results.push(result);
  process.stdout.write(toTable([result]));
}
process.stdout.write(`\n${machine.cores} cores (${machine.model}), load ${machine.loadAverage}\n`);
const isWhole = size === 'full' && results.length === suites.length;
if (isWhole) await writeResults(machine);
process.exitCode = results.every(({ isPassed }) => isPassed) ? 0 : 1;

function chosen(names: readonly string[]): readonly FaultSuite[] {
  const unknown = names.filter((name) => suites.every((suite) => suite.name !== name));
  if (unknown.length > 0) {
    const known = suites.map(({ name }) => name).join(', ');
    throw new Error(`Expected suites among ${known}, got ${unknown.join(', ')}`);
  }
  return names.length === 0 ? suites : suites.filter(({ name }) => names.includes(name));
}

async function runBoth(suite: FaultSuite): Promise<SuiteResult> {
  const startMs = performance.now();
  const figures = await suite.run({ size, isGuarded: true });
  const misses = missesOf(figures, size);
  const controlMisses = missesOf(await suite.run({ size, isGuarded: false }), size);
  const isPassed = misses.length === 0 && controlMisses.length > 0;
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const { name, shows, control } = suite;
  return { name, shows, control, figures, controlMisses, isPassed, seconds };
}

async function writeResults(started: Machine): Promise<void> {
  const text = JSON.stringify({ machine: started, suites: results }, null, 2);
  await writeFile(RESULTS, `${text}\n`);
}
