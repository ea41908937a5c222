import { toCsvLine } from '../outputs/csv.js';
import type { AnswerEntry, Entry, EntryHead } from './entry.js';

const COLUMNS = [
  'path',
  'kind',
  'status',
  'channel',
  'label',
  'mid',
  'score',
  'start_seconds',
  'end_seconds',
  'embedding_row',
  'code',
  'detail',
  'bytes',
  'modified_ms',
  'run',
] as const;

type Column = (typeof COLUMNS)[number];
type Row = Readonly<Partial<Record<Column, string | number | undefined>>>;

export const TABLE_HEAD = toCsvLine(COLUMNS);

/** The rows of one file: its tags, its events, and last its own row, which says that all are there. */
export function toTableRows(entry: Entry): string {
  const { path, bytes, modified_ms, run, status } = entry;
  const found = 'problem' in entry ? [] : foundRows(entry);
  const own: Row = { kind: 'file', status, bytes, modified_ms, run, ...ownValues(entry) };
  return [...found, own]
    .map((row) => toCsvLine(COLUMNS.map((column) => ({ ...row, path })[column] ?? '')))
    .join('');
}

function ownValues(entry: Entry): Row {
  if ('problem' in entry) return { code: entry.problem.code, detail: entry.problem.detail };
  const { embedding_row } = entry;
  return { start_seconds: 0, end_seconds: entry.audio.duration_seconds, embedding_row };
}

function foundRows({ tags = [], channels = [], events = [] }: AnswerEntry): Row[] {
  const perChannel = [{ channel: undefined, tags }, ...channels];
  return [
    ...perChannel.flatMap(({ channel, tags: ofChannel }) =>
      ofChannel.map(({ label, mid, score }) => ({ kind: 'tag', channel, label, mid, score })),
    ),
    ...events.map(({ label, mid, score, start_seconds, end_seconds, channel }) => {
      return { kind: 'event', channel, label, mid, score, start_seconds, end_seconds };
    }),
  ];
}

/**
 * What a record of the table says of a file, if it is a file's own row.
 *
 * @throws Error when it is no record of this table
 */
export function parseTableRow(record: string): EntryHead | undefined {
  const values = parseCsvRecord(record);
  if (values.length !== COLUMNS.length) throw new Error('another number of columns');
  const row = Object.fromEntries(COLUMNS.map((column, i) => [column, values[i] ?? '']));
  if (row.kind !== 'file') return undefined;
  const { path = '', run = '', embedding_row: embeddingRow } = row;
  return {
    path,
    run,
    bytes: Number(row.bytes),
    modified_ms: Number(row.modified_ms),
    status: Number(row.status),
    ...(embeddingRow !== '' && { embedding_row: Number(embeddingRow) }),
  };
}

/** The fields of one record of RFC 4180, its end cut off. */
export function parseCsvRecord(record: string): string[] {
  const fields = `${record},`.matchAll(/(?:"((?:[^"]|"")*)"|([^",]*)),/g);
  return [...fields].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '');
}
