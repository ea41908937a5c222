import { type FileHandle, open, truncate } from 'node:fs/promises';
import type { Entry, EntryHead } from './entry.js';
import { readRecords } from './records.js';
import type { ResultFormat } from './result-format.js';
import { UsageError } from './usage-error.js';

/**
 * A file of results that grows by one result at a time and can be taken up again.
 *
 * Whatever ended the run before, killed in the middle of a line included, what it holds up to its
 * last complete result is kept, and what is torn is cut off.
 */
export class ResultFile {
  /** What stood in it, by path; of several results of a path the last. */
  readonly done: ReadonlyMap<string, EntryHead>;
  readonly #handle: FileHandle;
  readonly #format: ResultFormat;

  /**
   * Opens or makes the file.
   *
   * @param run that every result in it must be of
   * @throws UsageError when it holds something else, or results of another run; it is left as it is then
   */
  static async open(
    path: string,
    { format, run }: { format: ResultFormat; run: string },
  ): Promise<ResultFile> {
    const handle = await open(path, 'a').catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(`${path}: cannot be written to (${error.code})`);
    });
    try {
      const { done, endBytes } = await readDone(path, { format, run });
      await truncate(path, endBytes);
      if (endBytes === 0 && format.head !== '') await handle.appendFile(format.head);
      return new ResultFile(handle, format, done);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private constructor(
    handle: FileHandle,
    format: ResultFormat,
    done: ReadonlyMap<string, EntryHead>,
  ) {
    this.#handle = handle;
    this.#format = format;
    this.done = done;
  }

  async append(entry: Entry): Promise<void> {
    await this.#handle.appendFile(this.#format.toText(entry));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

interface Done {
  readonly done: Map<string, EntryHead>;
  /** Of the file up to its last complete result. */
  readonly endBytes: number;
}

async function readDone(
  path: string,
  { format, run }: { format: ResultFormat; run: string },
): Promise<Done> {
  const done = new Map<string, EntryHead>();
  let end = 0;
  let isHead = format.head !== '';
  for await (const { text, endBytes } of readRecords(path, format)) {
    if (isHead && text !== format.head.trimEnd()) throw notOurs(path, 'another head');
    const head = isHead ? undefined : parse(text, { path, format });
    if (head && head.run !== run) throw otherRun(path, head.run, run);
    if (head) done.set(head.path, head);
    if (head || isHead) end = endBytes;
    isHead = false;
  }
  return { done, endBytes: end };
}

function parse(
  text: string,
  { path, format }: { path: string; format: ResultFormat },
): EntryHead | undefined {
  try {
    return format.parse(text);
  } catch (error) {
    throw notOurs(path, (error as Error).message);
  }
}

const notOurs = (path: string, why: string): UsageError =>
  new UsageError(`${path}: holds something else than results (${why}); add --overwrite to lose it`);

const otherRun = (path: string, found: string, run: string): UsageError =>
  new UsageError(
    `${path}: holds results of another model or of other options (run ${found}, this one is ${run}); ` +
      'name another file, or add --overwrite to lose them',
  );
