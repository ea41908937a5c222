import type { ListedEvent } from '../events/event-list.js';

/** The events of one label, on a line of their own. */
export interface Lane {
  readonly label: string;
  readonly events: readonly ListedEvent[];
}

/**
 * One lane per label, the label with the highest score on top.
 *
 * @returns the first `maxLanes` of them, and the labels that found no room
 */
export function toLanes(
  events: readonly ListedEvent[],
  { maxLanes }: { maxLanes: number },
): { lanes: Lane[]; others: string[] } {
  const byLabel = new Map<number, ListedEvent[]>();
  for (const event of events) {
    const ofLabel = byLabel.get(event.class_index) ?? [];
    ofLabel.push(event);
    byLabel.set(event.class_index, ofLabel);
  }
  const lanes = [...byLabel.values()]
    .map((ofLabel) => ({
      label: ofLabel[0]?.label ?? '',
      events: ofLabel,
      best: Math.max(...ofLabel.map(({ score }) => score)),
    }))
    .sort((a, b) => b.best - a.best || a.label.localeCompare(b.label, 'en'));
  return {
    lanes: lanes.slice(0, maxLanes).map(({ label, events: own }) => ({ label, events: own })),
    others: lanes.slice(maxLanes).map(({ label }) => label),
  };
}
