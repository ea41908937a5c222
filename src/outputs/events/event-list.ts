import type { DetectedEvent } from './event-detector.js';

/** An event, and the channel where each is heard by itself. */
export interface ListedEvent extends DetectedEvent {
  readonly channel?: number;
}

export interface EventListOptions {
  readonly maxEvents: number;
  /** Keep the events of so many labels: those with the highest single score. Undefined: of all. */
  readonly topK?: number | undefined;
}

/** The events of a clip, as they come, up to a number; what is beyond it is only counted as missing. */
export class EventList {
  readonly #options: EventListOptions;
  readonly #byLabel = new Map<number, ListedEvent[]>();
  readonly #best = new Map<number, number>();
  #numKept = 0;
  #numDropped = 0;

  constructor(options: EventListOptions) {
    this.#options = options;
  }

  add(event: ListedEvent): void {
    const { maxEvents, topK } = this.#options;
    const { class_index: classIndex, score } = event;
    const ofLabel = this.#byLabel.get(classIndex) ?? [];
    this.#byLabel.set(classIndex, ofLabel);
    this.#best.set(classIndex, Math.max(score, this.#best.get(classIndex) ?? 0));
    // Which labels are the best is known at the end, so until then each may need all of its places.
    const numTaken = topK === undefined ? this.#numKept : ofLabel.length;
    if (numTaken >= maxEvents) {
      this.#numDropped += 1;
      return;
    }
    ofLabel.push(event);
    this.#numKept += 1;
  }

  /** In the order of their starts; `isTruncated` tells that there were more than `maxEvents`. */
  finish(): { events: ListedEvent[]; isTruncated: boolean } {
    const { maxEvents } = this.#options;
    const events = this.#bestLabels()
      .flatMap((classIndex) => this.#byLabel.get(classIndex) ?? [])
      .sort(inTime);
    const isTruncated = this.#numDropped > 0 || events.length > maxEvents;
    return { events: events.slice(0, maxEvents), isTruncated };
  }

  #bestLabels(): number[] {
    const labels = [...this.#best].sort(([a, x], [b, y]) => y - x || a - b);
    return labels.slice(0, this.#options.topK).map(([classIndex]) => classIndex);
  }
}

function inTime(a: ListedEvent, b: ListedEvent): number {
  const byTime = a.start_seconds - b.start_seconds || a.end_seconds - b.end_seconds;
  return byTime || (a.channel ?? 0) - (b.channel ?? 0) || a.class_index - b.class_index;
}
