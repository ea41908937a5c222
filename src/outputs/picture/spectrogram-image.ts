import type { IndexedImage } from './indexed-png.js';
import type { Spectrogram } from './spectrogram-columns.js';

/** "magma" of matplotlib (CC0): even steps to the eye, also in grey and for the colour-blind. */
const MAGMA = [
  [0, 0, 4],
  [24, 15, 61],
  [68, 15, 118],
  [114, 31, 129],
  [158, 47, 127],
  [205, 64, 113],
  [241, 96, 93],
  [253, 150, 104],
  [254, 202, 141],
  [252, 253, 191],
] as const;

const COLORS = 256;
const RANGE_DB = 75;
/** Below it there is nothing to see, however much it is brought out. */
const QUIETEST_TOP_DB = -70;
/** Share of the picture that may be brighter than the brightest colour: a click does not darken the rest. */
const OVEREXPOSED = 0.001;

/** A spectrogram as a picture: time to the right, pitch upwards, the loudest brightest. */
export function toSpectrogramImage({ columns, bands }: Spectrogram): IndexedImage {
  const width = Math.max(1, columns.length);
  const topDb = Math.max(QUIETEST_TOP_DB, loudest(columns));
  const pixels = new Uint8Array(width * bands);
  for (const [x, powers] of columns.entries()) {
    for (const [band, power] of powers.entries()) {
      pixels[(bands - 1 - band) * width + x] = toColor(toDb(power), topDb);
    }
  }
  return { width, height: bands, pixels, palette: palette() };
}

const toDb = (power: number): number => 10 * Math.log10(power);

function toColor(db: number, topDb: number): number {
  const share = (db - topDb) / RANGE_DB + 1;
  return Math.round((COLORS - 1) * Math.min(1, Math.max(0, share)));
}

function loudest(columns: readonly Float32Array[]): number {
  const powers = columns.flatMap((column) => Array.from(column)).sort((a, b) => b - a);
  return toDb(powers[Math.floor(powers.length * OVEREXPOSED)] ?? 0);
}

/** The colours between the given ones lie on straight lines. */
function palette(): Uint8Array {
  const numSteps = MAGMA.length - 1;
  return Uint8Array.from(
    Array.from({ length: COLORS }, (_, color) => {
      const place = (color / (COLORS - 1)) * numSteps;
      const step = Math.min(Math.floor(place), numSteps - 1);
      const [from, to] = [MAGMA[step], MAGMA[step + 1]];
      return [0, 1, 2].map((part) => {
        const [a = 0, b = 0] = [from?.[part], to?.[part]];
        return Math.round(a + (b - a) * (place - step));
      });
    }).flat(),
  );
}
