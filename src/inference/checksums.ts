import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** As `sha256sum` writes it; `earshot-train export` and `earshot-train card` do so for a model folder. */
export const CHECKSUMS_FILE = 'SHA256SUMS';

const LINE = /^([0-9a-f]{64}) {2}(\w[\w.-]*)$/;

/** What the files of a model folder were when it was made: sha256 in hexadecimal, by name. */
export type Checksums = ReadonlyMap<string, string>;

/** @throws Error that names the file, or the line of it, that is not as expected */
export async function loadChecksums(folder: string): Promise<Checksums> {
  const path = join(folder, CHECKSUMS_FILE);
  const text = await readFile(path, 'latin1').catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `${path}: expected the checksums of the folder's files, but reading it failed (${error.code})`,
    );
  });
  if (!text.endsWith('\n')) throw new Error(`${path}: expected whole lines, the last has no end`);
  const lines = text.slice(0, -1).split('\n');
  const entries = lines.map((line, index): [string, string] => {
    const [, sha256, file] = LINE.exec(line) ?? [];
    if (sha256 !== undefined && file !== undefined) return [file, sha256];
    throw new Error(`${path}: line ${index + 1}: expected a sha256 and a file name`);
  });
  return new Map(entries);
}

/**
 * Reads all of a file.
 *
 * @throws Error when it is not what the checksums say, or not among them
 */
export async function assertUnchanged(
  folder: string,
  file: string,
  checksums: Checksums,
): Promise<void> {
  const path = join(folder, file);
  assertListed(path, file, checksums);
  const hash = createHash('sha256');
  try {
    for await (const piece of createReadStream(path)) hash.update(piece);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`${path}: ${CHECKSUMS_FILE} names this file, but reading it failed (${code})`);
  }
  assertSum(path, hash.digest('hex'), checksums.get(file));
}

/**
 * For a file that is checked by its sha256 elsewhere.
 *
 * @throws Error when the checksums say another one
 */
export function assertAgrees(
  folder: string,
  { file, sha256 }: { readonly file: string; readonly sha256: string },
  checksums: Checksums,
): void {
  const path = join(folder, file);
  assertListed(path, file, checksums);
  assertSum(path, sha256, checksums.get(file));
}

function assertListed(path: string, file: string, checksums: Checksums): void {
  if (!checksums.has(file))
    throw new Error(`${path}: unknown file, ${CHECKSUMS_FILE} does not name it`);
}

function assertSum(path: string, found: string, expected: string | undefined): void {
  if (found === expected) return;
  throw new Error(`${path}: expected sha256 ${expected} as ${CHECKSUMS_FILE} says, got ${found}`);
}
