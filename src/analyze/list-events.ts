import { ServiceError } from '../errors.js';
import {
  EventList,
  type EventListOptions,
  type ListedEvent,
} from '../outputs/events/event-list.js';
import { detectEvents, type EventOptions, type ScoredWindow } from './detect-events.js';
import type { AnalysisDeps, ClipFile, HeardClip } from './hear.js';

/** The events of a clip, all at once. */
export interface EventsOfClip extends HeardClip {
  /** In the order of their starts. */
  readonly events: readonly ListedEvent[];
  /** There were more than asked for. */
  readonly isTruncated: boolean;
  /** Row scores by channel, (rows, labels); empty unless asked for. */
  readonly timelines: ReadonlyMap<number, readonly Float32Array[]>;
}

export interface ListOptions extends EventOptions, EventListOptions {
  readonly withTimeline?: boolean;
}

/** An hour of 186 labels; as text some 40 MB. */
const MAX_TIMELINE_SCORES = 2 ** 22;

/**
 * What can be heard in a clip and when, once all of it has been heard.
 *
 * @throws ServiceError as `detectEvents`, and `invalid_value` for a timeline of more than 2^22 scores
 */
export async function listEvents(
  clip: ClipFile,
  { maxEvents, topK, withTimeline = false, ...options }: ListOptions,
  deps: AnalysisDeps,
): Promise<EventsOfClip> {
  const list = new EventList({ maxEvents, topK });
  const timelines = new Map<number, Float32Array[]>();
  const listener = {
    event: (event: ListedEvent) => list.add(event),
    ...(withTimeline && { window: (window: ScoredWindow) => addRows(timelines, window) }),
  };
  const heard = await detectEvents(clip, options, listener, deps);
  return { ...heard, ...list.finish(), timelines };
}

function addRows(timelines: Map<number, Float32Array[]>, { channel, scores }: ScoredWindow): void {
  const rows = timelines.get(channel) ?? [];
  timelines.set(channel, rows);
  rows.push(...scores);
  const numRows = [...timelines.values()].reduce((sum, { length }) => sum + length, 0);
  if (numRows * (scores[0]?.length ?? 0) > MAX_TIMELINE_SCORES) throw timelineTooLong();
}

function timelineTooLong(): ServiceError {
  const parameter = 'include';
  const detail = `Expected a timeline of at most ${MAX_TIMELINE_SCORES} scores, got more: choose labels, or response_format=ndjson`;
  return new ServiceError('invalid_value', `${parameter}: ${detail}`, {
    errors: [{ parameter, detail }],
  });
}
