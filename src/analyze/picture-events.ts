import { EventList, type EventListOptions } from '../outputs/events/event-list.js';
import { toEventPicture } from '../outputs/picture/event-picture.js';
import { SpectrogramColumns } from '../outputs/picture/spectrogram-columns.js';
import { WaveColumns } from '../outputs/picture/wave-columns.js';
import { detectEvents, type EventOptions } from './detect-events.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type HeardWindow,
  ROW_SECONDS,
  timed,
} from './hear.js';

/** A clip and its events, drawn. */
export interface PicturedClip extends HeardClip {
  /** SVG that needs no other file. */
  readonly svg: string;
}

/** About one column per pixel. */
const MAX_COLUMNS = 1024;
const MEL_BANDS = 96;

/**
 * Draws what can be heard in one channel of a clip, and when. What is held does not grow with its length.
 *
 * @throws ServiceError as `detectEvents`
 */
export async function pictureEvents(
  clip: ClipFile,
  { maxEvents, topK, ...options }: EventOptions & EventListOptions,
  deps: AnalysisDeps,
): Promise<PicturedClip> {
  const { card } = deps.model;
  const list = new EventList({ maxEvents, topK });
  const drawn = new DrawnSamples(card.sampleRate);
  const heard = await detectEvents(
    clip,
    options,
    {
      event: (event) => list.add(event),
      window: (window) => timed('postprocess', deps.observer, () => drawn.push(window)),
    },
    deps,
  );
  const { startSeconds } = options.hearing;
  const svg = timed('postprocess', deps.observer, () =>
    toEventPicture({
      model: card.name,
      startSeconds,
      endSeconds: startSeconds + heard.audioSeconds,
      ...drawn.finish(),
      events: list.finish().events,
    }),
  );
  return { ...heard, svg };
}

/** What of the samples is drawn; windows overlap, and each sample is drawn once. */
class DrawnSamples {
  readonly #rowSamples: number;
  readonly #waveform = new WaveColumns(MAX_COLUMNS);
  readonly #spectrogram: SpectrogramColumns;
  #numSamples = 0;

  constructor(sampleRate: number) {
    this.#rowSamples = Math.round(ROW_SECONDS * sampleRate);
    this.#spectrogram = new SpectrogramColumns({
      maxColumns: MAX_COLUMNS,
      bands: MEL_BANDS,
      sampleRate,
    });
  }

  push({ samples, firstRow }: HeardWindow): void {
    const fresh = samples.subarray(this.#numSamples - firstRow * this.#rowSamples);
    this.#numSamples += fresh.length;
    this.#waveform.push(fresh);
    this.#spectrogram.push(fresh);
  }

  finish() {
    return { waveform: this.#waveform.finish(), spectrogram: this.#spectrogram.finish() };
  }
}
