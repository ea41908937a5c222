import type { ListedEvent } from './event-list.js';

/**
 * Events as a label track of Audacity: start, end and name per line, tabs between.
 *
 * @see https://manual.audacityteam.org/man/importing_and_exporting_labels.html
 */
export function toAudacityLabels(events: readonly ListedEvent[]): string {
  return events
    .map(({ start_seconds: start, end_seconds: end, label, channel }) => {
      const name = channel === undefined ? label : `${label} (channel ${channel})`;
      return `${start.toFixed(6)}\t${end.toFixed(6)}\t${name.replace(/\s+/g, ' ')}\n`;
    })
    .join('');
}
