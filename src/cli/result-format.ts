import type { Entry, EntryHead } from './entry.js';
import { parseTableRow, TABLE_HEAD, toTableRows } from './table-format.js';

/** How results are written, one after another, and what of them is read again. */
export interface ResultFormat {
  /** What stands before the first result. */
  readonly head: string;
  toText(entry: Entry): string;
  /** Whether a line may go on after a line feed in quotes. */
  readonly hasQuotes: boolean;
  /**
   * The result that a record completes; undefined when more of it follows.
   *
   * @throws Error when it is no such record
   */
  parse(record: string): EntryHead | undefined;
}

export const FORMAT_NAMES = ['ndjson', 'csv', 'json'] as const;
export type FormatName = (typeof FORMAT_NAMES)[number];

export const LINES: ResultFormat = {
  head: '',
  toText: (entry) => `${JSON.stringify(entry)}\n`,
  hasQuotes: false,
  parse: (record) => {
    const { path, bytes, modified_ms, run, status, embedding_row } = JSON.parse(record);
    if (typeof path !== 'string' || typeof run !== 'string') throw new Error('no path or no run');
    return { path, bytes, modified_ms, run, status, embedding_row };
  },
};

export const TABLE: ResultFormat = {
  head: TABLE_HEAD,
  toText: toTableRows,
  hasQuotes: true,
  parse: parseTableRow,
};

/** Results in a row that is written once, from its start to its end. */
export interface SequenceFormat {
  readonly head: string;
  readonly between: string;
  readonly tail: string;
  toText(entry: Entry): string;
}

/** A document of JSON, one result a line. */
export const DOCUMENT: SequenceFormat = {
  head: '{"object":"list","data":[\n',
  between: ',\n',
  tail: '\n]}\n',
  toText: (entry) => JSON.stringify(entry),
};

export const SEQUENCES: Readonly<Record<FormatName, SequenceFormat>> = {
  ndjson: { ...LINES, between: '', tail: '' },
  csv: { ...TABLE, between: '', tail: '' },
  json: DOCUMENT,
};
