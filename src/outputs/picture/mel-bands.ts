/** Pitch as it is heard: 1000 Hz is 1000 mel (O'Shaughnessy 1987). */
export const toMel = (hz: number): number => 1127 * Math.log(1 + hz / 700);

const fromMel = (mel: number): number => 700 * (Math.exp(mel / 1127) - 1);

/** The bins of a spectrum that a band is the mean of: from `first` to before `end`, or one point between two bins. */
interface Band {
  readonly first: number;
  readonly end: number;
  readonly centreBin: number;
}

/** Sums the bins of a power spectrum into bands of equal width in mel, from 0 Hz to half the rate. */
export class MelBands {
  readonly #bands: readonly Band[];

  constructor({ bins, bands, maxHz }: { bins: number; bands: number; maxHz: number }) {
    const binOf = (band: number) => (fromMel((band / bands) * toMel(maxHz)) / maxHz) * (bins - 1);
    this.#bands = Array.from({ length: bands }, (_, band) => ({
      first: Math.ceil(binOf(band)),
      end: Math.ceil(binOf(band + 1)),
      centreBin: binOf(band + 0.5),
    }));
  }

  /** (bins) power to (bands) mean power. */
  of(power: Float32Array): Float32Array {
    return Float32Array.from(this.#bands, ({ first, end, centreBin }) => {
      if (end - first < 2) return between(power, centreBin);
      let sum = 0;
      for (let bin = first; bin < end; bin++) sum += power[bin] ?? 0;
      return sum / (end - first);
    });
  }
}

/** Low bands are narrower than a bin: their value lies on the line between two. */
function between(power: Float32Array, place: number): number {
  const left = Math.floor(place);
  const [a = 0, b = 0] = [power[left], power[left + 1]];
  return a + (b - a) * (place - left);
}
