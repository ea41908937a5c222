import { ROW_SECONDS } from '../analyze/hear.js';
import type { EventsOfClip } from '../analyze/list-events.js';
import type { Label } from '../inference/model-card.js';
import type { ListedEvent } from '../outputs/events/event-list.js';
import { toTimelineScores } from '../outputs/events/timeline.js';
import { toAudio, toThreeDecimals, toUsage } from './audio-reply.js';
import type { EventParameters } from './event-options.js';
import type { components } from './openapi-types.js';

type Schemas = components['schemas'];

const SCORE_STEPS = 1e6;

/** The events of a clip, with the labels that they were looked for. */
export interface AnsweredEvents extends EventsOfClip {
  readonly labels: readonly Label[];
}

/** What is said of one clip, be it alone or among others. */
export function toEventsReply(
  clip: AnsweredEvents,
  parameters: EventParameters,
): Omit<Schemas['AudioEvents'], 'id' | 'model'> {
  const { events, isTruncated, timelines } = clip;
  const timeline = timelines.size > 0 ? { timeline: toTimeline(clip, parameters) } : {};
  return {
    object: 'audio.events',
    audio: toAudio(clip),
    row_seconds: ROW_SECONDS,
    events: events.map(toEvent),
    truncated: isTruncated,
    ...timeline,
    usage: toUsage([clip]),
  };
}

/** Six decimals for scores: what is behind them differs between machines. */
export function toEvent(event: ListedEvent): Schemas['Event'] {
  return {
    ...event,
    start_seconds: toThreeDecimals(event.start_seconds),
    end_seconds: toThreeDecimals(event.end_seconds),
    score: Math.round(event.score * SCORE_STEPS) / SCORE_STEPS,
    score_mean: Math.round(event.score_mean * SCORE_STEPS) / SCORE_STEPS,
  };
}

/** What a timeline says beside its scores. */
export function toTimelineHead(
  labels: readonly Label[],
  { timeline_encoding: encoding, timeline_dtype: dtype }: EventParameters,
) {
  const columns = labels.map(({ name, mid, classIndex }) => {
    return { label: name, mid, class_index: classIndex };
  });
  return { labels: columns, encoding, dtype };
}

function toTimeline(
  { labels, timelines }: AnsweredEvents,
  parameters: EventParameters,
): Schemas['Timeline'] {
  const { timeline_encoding: encoding, timeline_dtype: type } = parameters;
  const [rows = []] = timelines.values();
  const head = {
    ...toTimelineHead(labels, parameters),
    start_seconds: toThreeDecimals(parameters.start_seconds),
    rows: rows.length,
  };
  if (parameters.channel !== 'each') {
    return { ...head, scores: toTimelineScores(rows, { encoding, type }) };
  }
  const channels = [...timelines].map(([channel, scores]) => {
    return { channel, scores: toTimelineScores(scores, { encoding, type }) };
  });
  return { ...head, channels };
}
