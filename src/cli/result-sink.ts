import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import type { TagArguments } from './arguments.js';
import { openDocument } from './document-file.js';
import type { Entry, EntryHead } from './entry.js';
import { ResultFile } from './result-file.js';
import { LINES, SEQUENCES, type SequenceFormat, TABLE } from './result-format.js';

/** Where results go. */
export interface ResultSink {
  /** What earlier runs left there, by path. */
  readonly done: ReadonlyMap<string, EntryHead>;
  append(entry: Entry): Promise<void>;
  /** All results are there. */
  finish(): Promise<void>;
  /** The run ends before its time: what is there stays for the next one. */
  stop(): Promise<void>;
}

/**
 * Opens the file of results, or standard output, which begins anew each time.
 *
 * @throws UsageError when the file holds something else
 */
export async function openSink(
  { out, format, overwrite }: Pick<TagArguments, 'out' | 'format' | 'overwrite'>,
  { run, stdout }: { run: string; stdout: Writable },
): Promise<ResultSink> {
  if (out === undefined) return streamSink(stdout, SEQUENCES[format]);
  if (overwrite)
    await Promise.all([rm(out, { force: true }), rm(`${out}.partial`, { force: true })]);
  if (format === 'json') return documentSink(out, run);
  const file = await ResultFile.open(out, { format: format === 'csv' ? TABLE : LINES, run });
  const close = () => file.close();
  return { done: file.done, append: (entry) => file.append(entry), finish: close, stop: close };
}

/** Whether there are results of an earlier run, complete or not. */
export const hasResults = (out: string | undefined): boolean =>
  out !== undefined && (existsSync(out) || existsSync(`${out}.partial`));

async function documentSink(out: string, run: string): Promise<ResultSink> {
  const { lines, finish } = await openDocument(out, { run });
  return {
    done: lines.done,
    append: (entry) => lines.append(entry),
    finish,
    stop: () => lines.close(),
  };
}

function streamSink(stream: Writable, { head, between, tail, toText }: SequenceFormat): ResultSink {
  const write = async (text: string) => {
    if (text !== '' && !stream.write(text)) await once(stream, 'drain');
  };
  let numEntries = 0;
  return {
    done: new Map(),
    async append(entry) {
      await write((numEntries === 0 ? head : between) + toText(entry));
      numEntries += 1;
    },
    finish: () => write((numEntries === 0 ? head : '') + tail),
    async stop() {},
  };
}
