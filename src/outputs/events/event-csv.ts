import { toCsvLine } from '../csv.js';
import type { ListedEvent } from './event-list.js';

const COLUMNS = [
  'start_seconds',
  'end_seconds',
  'label',
  'mid',
  'class_index',
  'score',
  'score_mean',
];

/** Events as a table with a head (RFC 4180); the channel stands last, where each is heard by itself. */
export function toEventCsv(
  events: readonly ListedEvent[],
  { hasChannels }: { hasChannels: boolean },
): string {
  const columns = hasChannels ? [...COLUMNS, 'channel'] : COLUMNS;
  const lines = events.map((event) =>
    columns.map((column) => event[column as keyof ListedEvent] ?? ''),
  );
  return [columns, ...lines].map(toCsvLine).join('');
}
