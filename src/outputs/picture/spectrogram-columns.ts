import { PowerSpectrum } from '../../audio/spectrum.js';
import { MelBands } from './mel-bands.js';
import { mergePairs } from './wave-columns.js';

/** At 16 kHz: 64 ms, long enough to tell low tones apart, and 10 ms. */
const FRAME_SAMPLES = 1024;
const HOP_SAMPLES = 160;

export interface Spectrogram {
  /** (bands) mean power, lowest band first; a full-scale sine is about 1. */
  readonly columns: readonly Float32Array[];
  readonly bands: number;
  readonly maxHz: number;
}

interface Column {
  readonly powers: Float32Array;
  /** Frames that it is the sum of. */
  numFrames: number;
}

/** A log-mel spectrogram in a bounded number of columns, as a stream. */
export class SpectrogramColumns {
  readonly #maxColumns: number;
  readonly #bands: number;
  readonly #maxHz: number;
  readonly #spectrum = new PowerSpectrum(FRAME_SAMPLES);
  readonly #mel: MelBands;
  /** Samples of the next frame; frames are centred on their hop, so the first begins before the clip. */
  readonly #frame = new Float32Array(FRAME_SAMPLES);
  #numInFrame = (FRAME_SAMPLES - HOP_SAMPLES) / 2;
  #columns: Column[] = [];
  #framesPerColumn = 1;

  /** @param options `maxColumns` is an even number */
  constructor({
    maxColumns,
    bands,
    sampleRate,
  }: { maxColumns: number; bands: number; sampleRate: number }) {
    this.#maxColumns = maxColumns;
    this.#bands = bands;
    this.#maxHz = sampleRate / 2;
    this.#mel = new MelBands({ bins: this.#spectrum.bins, bands, maxHz: this.#maxHz });
  }

  push(samples: Float32Array): void {
    for (let taken = 0; taken < samples.length; ) {
      const piece = samples.subarray(taken, taken + FRAME_SAMPLES - this.#numInFrame);
      this.#frame.set(piece, this.#numInFrame);
      this.#numInFrame += piece.length;
      taken += piece.length;
      if (this.#numInFrame === FRAME_SAMPLES) this.#analyze();
    }
  }

  finish(): Spectrogram {
    // The last hops of the clip are the centres of frames that reach beyond its end.
    const missing = (FRAME_SAMPLES - HOP_SAMPLES) / 2;
    this.push(new Float32Array(missing));
    const columns = this.#columns.map(({ powers, numFrames }) =>
      powers.map((sum) => sum / numFrames),
    );
    return { columns, bands: this.#bands, maxHz: this.#maxHz };
  }

  #analyze(): void {
    this.#add(this.#mel.of(this.#spectrum.of(this.#frame)));
    this.#frame.copyWithin(0, HOP_SAMPLES);
    this.#numInFrame -= HOP_SAMPLES;
  }

  #add(powers: Float32Array): void {
    const open = this.#columns.at(-1);
    if (open && open.numFrames < this.#framesPerColumn) {
      addTo(open, { powers, numFrames: 1 });
      return;
    }
    if (this.#columns.length === this.#maxColumns) {
      this.#columns = mergePairs(this.#columns, addTo);
      this.#framesPerColumn *= 2;
    }
    this.#columns.push({ powers, numFrames: 1 });
  }
}

function addTo(column: Column, { powers, numFrames }: Column): Column {
  for (const [band, power] of powers.entries()) {
    column.powers[band] = (column.powers[band] ?? 0) + power;
  }
  column.numFrames += numFrames;
  return column;
}
