/**
 * `npm run test:faults`: the suites in full and their controls, one table, `bench/results/faults.json`.
 *
 * Names of suites run those alone; `--save` then puts what they gave in the place of what they gave before. `--smoke`
 * has small counts and saves nothing.
 */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Machine, machineNow } from './machine.js';
import { type SuiteResult, toTable } from './report.js';
import type { FaultSuite, SuiteSize } from './suite.js';
import { missesOf } from './suite.js';
import { suites } from './suites.js';

const RESULTS = new URL('../bench/results/faults.json', import.meta.url);

/** As it stands in the file: with what its figures of time have to be read beside. */
interface SavedResult extends Omit<SuiteResult, 'controlMisses'> {
  readonly controlMissed: string;
  readonly machine: Machine;
}

const { values, positionals } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    save: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
/** They take longer than all others together: `npm run soak`. */
const BY_HAND = ['leaks'];
const size: SuiteSize = values.smoke ? 'smoke' : 'full';
const isSaved = size === 'full' && (values.save || positionals.length === 0);
let isAllPassed = true;
for (const suite of chosen(positionals)) {
  const machine = machineNow();
  const result = await runBoth(suite);
  isAllPassed &&= result.isPassed;
  process.stdout.write(toTable([result]));
  process.stdout.write(
    `  ${machine.cores} cores (${machine.model}), load ${machine.loadAverage}\n`,
  );
  const { controlMisses, ...kept } = result;
  if (isSaved) await save({ ...kept, controlMissed: controlMisses.join('; '), machine });
}
process.exitCode = isAllPassed ? 0 : 1;

function chosen(names: readonly string[]): readonly FaultSuite[] {
  const unknown = names.filter((name) => suites.every((suite) => suite.name !== name));
  if (unknown.length > 0) {
    const known = suites.map(({ name }) => name).join(', ');
    throw new Error(`Expected suites among ${known}, got ${unknown.join(', ')}`);
  }
  const isMeant = (name: string) =>
    names.length > 0 ? names.includes(name) : size === 'smoke' || !BY_HAND.includes(name);
  return suites.filter(({ name }) => isMeant(name));
}

async function runBoth(suite: FaultSuite): Promise<SuiteResult> {
  const startMs = performance.now();
  const figures = await suite.run({ size, isGuarded: true });
  const misses = missesOf(figures, size);
  // Small counts do for it: those that have to hold must not, whatever the times.
  const controlMisses = missesOf(await suite.run({ size: 'smoke', isGuarded: false }), 'smoke');
  const isPassed = misses.length === 0 && controlMisses.length > 0;
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const { name, shows, control } = suite;
  return { name, shows, control, figures, controlMisses, isPassed, seconds };
}

/** In the place of what the suite gave before; suites that are no more go. */
async function save(result: SavedResult): Promise<void> {
  const before = existsSync(RESULTS)
    ? (JSON.parse(await readFile(RESULTS, 'utf8')) as { suites: SavedResult[] }).suites
    : [];
  const all = new Map([...before, result].map((each) => [each.name, each]));
  const ordered = suites.flatMap(({ name }) => all.get(name) ?? []);
  await writeFile(RESULTS, `${JSON.stringify({ suites: ordered }, null, 2)}\n`);
}
