/** Files that should never have been sent, the same ones for the same seed. */
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { SeededDraws } from '../seeded-draws.js';
import { forgeries, type NamedFile } from './forgeries.js';
import { MUTATIONS } from './mutations.js';

const FOLDERS = ['../../test/fixtures/clips/', '../../test/fixtures/containers/'];
/** Of long clips the beginning does: damage is met there, too. */
const MAX_BYTES = 60_000;

/** Real clips of every format that the service reads, and of some that only ffmpeg does. */
export function honestFiles(): NamedFile[] {
  return FOLDERS.flatMap((folder) => {
    const names = readdirSync(new URL(folder, import.meta.url)).sort();
    return names
      .filter((name) => extname(name) !== '.csv')
      .map((name) => ({ name, bytes: readFileSync(new URL(folder + name, import.meta.url)) }));
  });
}

/**
 * Half of them mutations, spread evenly over all formats and all kinds of damage, and every forgery once or as many as
 * fit into a half.
 *
 * @param listenerUrl of a server that no file may lead to
 */
export function hostileFiles(options: {
  count: number;
  seed: number;
  listenerUrl: string;
}): NamedFile[] {
  const { count, seed, listenerUrl } = options;
  const draws = new SeededDraws(seed);
  const forged = draws.shuffled(forgeries(listenerUrl)).slice(0, Math.floor(count / 2));
  return draws.shuffled([...forged, ...mutated(count - forged.length, draws)]);
}

function mutated(count: number, draws: SeededDraws): NamedFile[] {
  const files = draws.shuffled(honestFiles());
  const kinds = draws.shuffled(Object.entries(MUTATIONS));
  const all = files.map(({ bytes }) => bytes.subarray(0, MAX_BYTES));
  return Array.from({ length: count }, (_, index) => {
    const { name } = files[index % files.length] as NamedFile;
    // One kind further in each round, so that each format meets each kind in its turn.
    const place = (index + Math.floor(index / files.length)) % kinds.length;
    const [kind, mutate] = kinds[place] as (typeof kinds)[number];
    const bytes = mutate(all[index % all.length] as Buffer, draws, all);
    return { name: `${index}: ${name}, ${kind}`, bytes };
  });
}
