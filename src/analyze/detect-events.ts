import type { ModelCard } from '../inference/model-card.js';
import { type DetectorOptions, EventDetector } from '../outputs/events/event-detector.js';
import type { ListedEvent } from '../outputs/events/event-list.js';
import { toRowLevels } from '../outputs/events/row-levels.js';
import { toRowScores } from '../outputs/events/row-scores.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type HeardWindow,
  type Hearing,
  hearClip,
  ROW_SECONDS,
  timed,
} from './hear.js';

/** What is heard of a clip, and what counts as an event in it. */
export interface EventOptions extends Omit<DetectorOptions, 'rowSeconds'> {
  readonly hearing: Omit<Hearing, 'outputs'>;
}

/** Row scores of one window. */
export interface ScoredWindow extends HeardWindow {
  /** (rows, labels of the options) */
  readonly scores: readonly Float32Array[];
}

/** Hears what is found while the clip is still being read; the clip waits for it. */
export interface EventListener {
  /** In the order in which events end, channel by channel. */
  event(event: ListedEvent): void | Promise<void>;
  /** Called before the events that the window completes. */
  window?(window: ScoredWindow): void | Promise<void>;
}

/**
 * What can be heard in a clip and when. What is held does not grow with its length.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run; what the listener throws
 */
export async function detectEvents(
  clip: ClipFile,
  { hearing, ...options }: EventOptions,
  listener: EventListener,
  deps: AnalysisDeps,
): Promise<HeardClip> {
  const found = new EventsByChannel({ ...options, rowSeconds: ROW_SECONDS });
  const tell = async (channel: number, events: readonly ListedEvent[]) => {
    for (const event of events) {
      await listener.event(hearing.channel === 'each' ? { ...event, channel } : event);
    }
  };
  const heard = await hearClip(
    clip,
    { ...hearing, outputs: ['row_logits'] },
    async (window) => {
      const { scores, events } = timed('postprocess', deps.observer, () =>
        found.push(window, deps.model.card),
      );
      await listener.window?.({ ...window, scores });
      await tell(window.channel, events);
    },
    deps,
  );
  const endSeconds = hearing.startSeconds + heard.audioSeconds;
  for (const [channel, events] of found.finish({ endSeconds })) await tell(channel, events);
  return heard;
}

/** One detector for each channel that comes. */
class EventsByChannel {
  readonly #options: DetectorOptions;
  readonly #detectors = new Map<number, EventDetector>();

  constructor(options: DetectorOptions) {
    this.#options = options;
  }

  push(window: HeardWindow, { labels, activation, sampleRate }: ModelCard) {
    const { row_logits: rowLogits } = window.values;
    if (rowLogits === undefined) throw new Error('Expected row_logits of every window');
    const columns = { numLabels: labels.length, chosen: this.#options.labels, activation };
    const scores = toRowScores(rowLogits, columns);
    const rowSamples = Math.round(ROW_SECONDS * sampleRate);
    const levels = toRowLevels(window.samples, { rows: window.rows, rowSamples });
    const rows = scores.map((row, i) => ({
      scores: row,
      levelDbfs: levels[i] ?? 0,
      // Every window has its own place on the source's clock, so no error adds up.
      startSeconds: window.startSeconds + i * ROW_SECONDS,
      endSeconds: window.startSeconds + (i + 1) * ROW_SECONDS,
    }));
    return { scores, events: this.#detectorOf(window.channel).push(rows) };
  }

  finish(end: { endSeconds: number }): [channel: number, events: ListedEvent[]][] {
    return [...this.#detectors].map(([channel, detector]) => [channel, detector.finish(end)]);
  }

  #detectorOf(channel: number): EventDetector {
    const known = this.#detectors.get(channel);
    if (known) return known;
    const detector = new EventDetector(this.#options);
    this.#detectors.set(channel, detector);
    return detector;
  }
}
