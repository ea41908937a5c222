const STOPBAND_DB = 100;
const PASSBAND_SHARE = 0.95; // of the lower Nyquist frequency; the stopband begins at that frequency
const MAX_PHASES = 640;
const MAX_TABLE_VALUES = 2 ** 20; // 4 MB; rates with a large table get a coarser fraction
const TAPS_MULTIPLE = 16; // what the kernel takes per step

/** A polyphase low-pass filter that turns `stepSamples / phases` input samples into one output sample. */
export interface ResampleFilter {
  /** Values per phase, a multiple of 16. */
  readonly taps: number;
  /** L: positions between two input samples for which there is a row in the table. */
  readonly phases: number;
  /** M: output o is centred at input sample o M / L. */
  readonly stride: number;
  /** [phases][taps]; the values of each phase add up to 1. */
  readonly table: Float32Array;
}

/** A ratio of whole numbers. */
interface Fraction {
  readonly numerator: number;
  readonly denominator: number;
}

/**
 * Kaiser-windowed sinc with 100 dB of rejection for the two rates.
 *
 * Length and window shape are Kaiser's formulas (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.6).
 *
 * @param fromHz rate of the input, a whole number
 * @param toHz rate of the output, a whole number
 */
export function designFilter(fromHz: number, toHz: number): ResampleFilter {
  const lowerNyquistHz = Math.min(fromHz, toHz) / 2;
  const transitionHz = (1 - PASSBAND_SHARE) * lowerNyquistHz;
  const transition = (2 * Math.PI * transitionHz) / fromHz; // radians per input sample
  const leastTaps = (STOPBAND_DB - 7.95) / (2.285 * transition);
  const taps = Math.ceil(leastTaps / TAPS_MULTIPLE) * TAPS_MULTIPLE;
  const maxPhases = Math.min(MAX_PHASES, Math.floor(MAX_TABLE_VALUES / taps));
  const { numerator: stride, denominator: phases } = nearestFraction(fromHz, toHz, maxPhases);
  const cutoff = (lowerNyquistHz - transitionHz / 2) / fromHz; // cycles per input sample
  return { taps, phases, stride, table: filterTable({ taps, phases, cutoff }) };
}

/**
 * The fraction nearest to `dividend / divisor` with a denominator of at most `maxDenominator`,
 * by continued fraction and its last semiconvergent.
 */
export function nearestFraction(
  dividend: number,
  divisor: number,
  maxDenominator: number,
): Fraction {
  let before: Fraction = { numerator: 0, denominator: 1 };
  let nearest: Fraction = { numerator: 1, denominator: 0 };
  for (let [high, low] = [dividend, divisor]; low !== 0; ) {
    const quotient = Math.floor(high / low);
    const next = mediant(before, nearest, quotient);
    if (next.denominator > maxDenominator) {
      const most = Math.floor((maxDenominator - before.denominator) / nearest.denominator);
      return closer(dividend / divisor, nearest, mediant(before, nearest, most));
    }
    [before, nearest] = [nearest, next];
    [high, low] = [low, high - quotient * low];
  }
  return nearest;
}

const mediant = (a: Fraction, b: Fraction, times: number): Fraction => ({
  numerator: a.numerator + times * b.numerator,
  denominator: a.denominator + times * b.denominator,
});

function closer(value: number, a: Fraction, b: Fraction): Fraction {
  const error = (f: Fraction) => Math.abs(f.numerator / f.denominator - value);
  return error(b) < error(a) ? b : a;
}

function filterTable(o: { taps: number; phases: number; cutoff: number }): Float32Array {
  const table = new Float32Array(o.phases * o.taps);
  const half = o.taps / 2;
  const beta = 0.1102 * (STOPBAND_DB - 8.7);
  const row = new Float64Array(o.taps);
  for (let phase = 0; phase < o.phases; phase++) {
    let sum = 0;
    for (let tap = 0; tap < o.taps; tap++) {
      const distance = tap - (half - 1) - phase / o.phases; // from the centre, in input samples
      const value = sinc(2 * o.cutoff * distance) * kaiser(distance / half, beta);
      row[tap] = value;
      sum += value;
    }
    for (let tap = 0; tap < o.taps; tap++) table[phase * o.taps + tap] = row[tap]! / sum;
  }
  return table;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Kaiser's window at `position` in [-1, 1], not normalised: each phase is, later. */
function kaiser(position: number, beta: number): number {
  const inside = 1 - position * position;
  return inside <= 0 ? 0 : besselI0(beta * Math.sqrt(inside));
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function besselI0(x: number): number {
  const quarterSquare = (x * x) / 4;
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-17; k++) {
    term *= quarterSquare / (k * k);
    sum += term;
  }
  return sum;
}
