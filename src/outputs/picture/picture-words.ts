import type { ListedEvent } from '../events/event-list.js';
import type { Lane } from './lanes.js';
import { toShort } from './time-axis.js';

const MAX_TITLE_LABELS = 4;
const MAX_TOLD_EVENTS = 30;

/** What is heard, in a line. */
export function titleOf(lanes: readonly Lane[]): string {
  if (lanes.length === 0) return 'Nothing found';
  return lanes
    .slice(0, MAX_TITLE_LABELS)
    .map(({ label }) => label)
    .join(' · ');
}

/** The picture for those who do not see it. */
export function descriptionOf(events: readonly ListedEvent[]): string {
  const told = events.slice(0, MAX_TOLD_EVENTS).map((event) => {
    const times = `${toShort(event.start_seconds)} to ${toShort(event.end_seconds)}`;
    return `${event.label} from ${times}, score ${event.score.toFixed(2)}.`;
  });
  const numUntold = events.length - told.length;
  return [
    'Waveform, spectrogram and a lane of events for each label over time.',
    ...(told.length === 0 ? ['No events.'] : told),
    ...(numUntold > 0 ? [`And ${numUntold} more events.`] : []),
  ].join(' ');
}
