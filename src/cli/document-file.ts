import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { EntryHead } from './entry.js';
import { readRecords } from './records.js';
import { ResultFile } from './result-file.js';
import { DOCUMENT, LINES } from './result-format.js';
import { UsageError } from './usage-error.js';

/** A document of JSON with all results, and the lines from which it is made when all are there. */
export interface DocumentFile {
  readonly lines: ResultFile;
  /** Closes the lines and puts the document in its place, whole or not at all. */
  finish(): Promise<void>;
}

/**
 * Opens the lines of a document that is not complete yet, or those of the one that is there.
 *
 * @throws UsageError as `ResultFile.open`
 */
export async function openDocument(path: string, { run }: { run: string }): Promise<DocumentFile> {
  const linesPath = `${path}.partial`;
  if (existsSync(path) && !existsSync(linesPath)) await unfold(path, linesPath);
  const lines = await ResultFile.open(linesPath, { format: LINES, run });
  return {
    lines,
    async finish() {
      await lines.close();
      await fold(linesPath, path);
      await rm(linesPath);
    },
  };
}

/** Document to lines. */
async function unfold(path: string, linesPath: string): Promise<void> {
  await writeWhole(linesPath, async (write) => {
    let isHead = true;
    for await (const { text } of readRecords(path, LINES)) {
      if (isHead && text !== DOCUMENT.head.trimEnd()) {
        throw new UsageError(
          `${path}: holds something else than results; add --overwrite to lose it`,
        );
      }
      if (!isHead && text.startsWith('{')) await write(`${text.replace(/,$/, '')}\n`);
      isHead = false;
    }
  });
}

/** Lines to document; of several results of a path only the last goes in. */
async function fold(linesPath: string, path: string): Promise<void> {
  const last = new Map<string, number>();
  const pathOf = (text: string) => (LINES.parse(text) as EntryHead).path;
  for await (const { text, endBytes } of readRecords(linesPath, LINES)) {
    last.set(pathOf(text), endBytes);
  }
  await writeWhole(path, async (write) => {
    let before: string = DOCUMENT.head;
    for await (const { text, endBytes } of readRecords(linesPath, LINES)) {
      if (last.get(pathOf(text)) !== endBytes) continue;
      await write(before + text);
      before = DOCUMENT.between;
    }
    await write((last.size === 0 ? DOCUMENT.head : '') + DOCUMENT.tail);
  });
}

/** Writes a file beside its place and moves it there when all of it is written. */
export async function writeWhole(
  path: string,
  fill: (write: (text: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const fresh = `${path}.new`;
  const stream = createWriteStream(fresh);
  const failed = once(stream, 'error').then(([error]) => {
    throw error;
  });
  try {
    const write = async (text: string) => {
      if (!stream.write(text)) await Promise.race([once(stream, 'drain'), failed]);
    };
    await Promise.race([fill(write), failed]);
    stream.end();
    await Promise.race([once(stream, 'close'), failed]);
    await rename(fresh, path);
  } catch (error) {
    stream.destroy();
    await rm(fresh, { force: true });
    throw error;
  }
}
