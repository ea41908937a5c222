import type { Label } from '../../inference/model-card.js';
import type { EventThresholds } from './event-thresholds.js';
import { LabelTrack, type Span } from './label-track.js';
import { type Row, RowSmoother, type SmoothRow } from './row-smoother.js';

/** A label and when it was heard, as a reply carries it. Times are on the clock of the recording. */
export interface DetectedEvent {
  readonly label: string;
  readonly mid: string;
  readonly class_index: number;
  readonly start_seconds: number;
  readonly end_seconds: number;
  /** Largest score of its rows. */
  readonly score: number;
  readonly score_mean: number;
}

export interface DetectorOptions {
  /** The columns of the scores. */
  readonly labels: readonly Label[];
  readonly thresholds: EventThresholds;
  /** Span of the moving mean that the thresholds are held to; less than two rows is no smoothing. */
  readonly smoothSeconds: number;
  /** Stretches of one label with at most this between them are one event. */
  readonly mergeGapSeconds: number;
  /** Shorter events, once merged, are none. */
  readonly minDurationSeconds: number;
  /** In rows quieter than this nothing is heard. */
  readonly minLevelDbfs: number;
  /** Length of a row, by which the spans above are counted in rows. */
  readonly rowSeconds: number;
}

/** AudioSet's "Silence": the one label that a silent row may hold. */
const SILENCE_MID = '/m/028v0c';
/** Times are whole rows but for rounding. */
const ROUNDING_ROWS = 1e-6;

/**
 * Events from the row scores of one channel, as a stream: rows in, completed events out.
 *
 * An event starts at the first row whose smoothed score reaches `on`, and ends with the last row
 * before one that is below `off`. Events come in the order of their ends. What is held does not
 * grow with the clip: some rows for the mean, and one open event per label.
 */
export class EventDetector {
  readonly #options: DetectorOptions;
  readonly #smoother: RowSmoother;
  readonly #tracks: readonly LabelTrack[];

  constructor(options: DetectorOptions) {
    const { labels, thresholds, rowSeconds } = options;
    const rows = (seconds: number) => seconds / rowSeconds;
    const gapRows = Math.floor(rows(options.mergeGapSeconds) + ROUNDING_ROWS);
    const minRows = Math.ceil(rows(options.minDurationSeconds) - ROUNDING_ROWS);
    this.#options = options;
    this.#smoother = new RowSmoother(Math.floor(rows(options.smoothSeconds) + ROUNDING_ROWS));
    this.#tracks = labels.map((_, i) => {
      const [on = 1, off = 1] = [thresholds.on[i], thresholds.off[i]];
      return new LabelTrack({ on, off, gapRows, minRows });
    });
  }

  /** Takes the next rows; gives the events that they complete. */
  push(rows: readonly Row[]): DetectedEvent[] {
    return rows.flatMap((row) => {
      const smooth = this.#smoother.push(row);
      return smooth ? this.#follow(smooth) : [];
    });
  }

  /**
   * The events that were still open when the clip ended.
   *
   * @param endSeconds end of the clip, which no event outlasts
   */
  finish({ endSeconds }: { endSeconds: number }): DetectedEvent[] {
    const late = [...this.#smoother.finish()].flatMap((row) => this.#follow(row));
    const open = this.#eventsOf((track) => track.finish());
    open.sort((a, b) => a.end_seconds - b.end_seconds);
    return [...late, ...open].map((event) => ({
      ...event,
      end_seconds: Math.min(event.end_seconds, endSeconds),
    }));
  }

  #follow({ scores, smooth, levelDbfs, ...times }: SmoothRow): DetectedEvent[] {
    const { labels, minLevelDbfs } = this.#options;
    const isSilent = levelDbfs < minLevelDbfs;
    return this.#eventsOf((track, i) => {
      const isMute = isSilent && labels[i]?.mid !== SILENCE_MID;
      // Below any threshold, be it 0.
      if (isMute) return track.push({ ...times, decisive: -Infinity, score: 0 });
      return track.push({ ...times, decisive: smooth[i] ?? 0, score: scores[i] ?? 0 });
    });
  }

  #eventsOf(spanOf: (track: LabelTrack, place: number) => Span | undefined): DetectedEvent[] {
    const events: DetectedEvent[] = [];
    for (const [place, track] of this.#tracks.entries()) {
      const span = spanOf(track, place);
      const label = this.#options.labels[place];
      if (span && label) events.push(toEvent(span, label));
    }
    return events;
  }
}

function toEvent(span: Span, { name, mid, classIndex }: Label): DetectedEvent {
  return {
    label: name,
    mid,
    class_index: classIndex,
    start_seconds: span.startSeconds,
    end_seconds: span.endSeconds,
    score: span.score,
    score_mean: span.scoreMean,
  };
}
