import { type Dirent, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, normalize } from 'node:path';

/** A file that may be a clip. */
export interface FoundPath {
  /** As it was given, or below the folder that was given. */
  readonly path: string;
  /** Met in a folder: what is no audio there is left out, not a failure. */
  readonly isFromFolder: boolean;
}

/**
 * The files that were named, and all files below the folders that were named: in the order of the
 * arguments, folders in the order of their names' code points. Each path comes once.
 *
 * Entries whose name begins with a dot are left out, and links to folders, which may lead in circles.
 */
export async function findClipPaths(named: readonly string[]): Promise<FoundPath[]> {
  const found = new Map<string, FoundPath>();
  const add = (path: string, isFromFolder: boolean) => {
    if (!found.has(path)) found.set(path, { path, isFromFolder });
  };
  for (const argument of named) {
    const path = normalize(argument);
    if (!isFolder(path)) add(path, false);
    else for await (const file of filesBelow(path)) add(file, true);
  }
  return [...found.values()];
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort(byName)) {
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile() || (entry.isSymbolicLink() && !isFolder(path))) yield path;
  }
}

/** Not by the customs of a language, which differ between machines. */
function byName(a: Dirent, b: Dirent): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}
