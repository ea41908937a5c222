/** Multiplications and additions for one clip. */
export interface ClipWork {
  /** Of the layers' projections, which an int8 graph does in int8. */
  readonly projections: number;
  /** Of everything else that is a product of matrices, which stays in float32. */
  readonly others: number;
}

/** Operations per second of processor time on one core. */
export interface MatrixRates {
  readonly fp32: number;
  readonly int8: number;
}

export type BenchedPrecision = keyof MatrixRates;

const FRAME_LENGTH = 400;
const FRAME_SHIFT = 160;
const FBANK_KERNELS = 512;
const SPECTRUM_BINS = 256;
const MEL_BINS = 128;
const PATCH_SIDE = 16;

/** The model of training/bench/random_base.py, which has the released size. */
const PATCH_DIM = 512;
const DIM = 768;
const FFN_DIM = 3072;
const LAYERS = 12;
const CONV_POS_KERNEL = 128;
const CONV_POS_GROUPS = 16;
const LABELS = 527;

/** As wide as the graphs of a precision make the hidden layer: float32 has it padded. */
const MATRIX_FFN_DIM = { fp32: FFN_DIM + 16, int8: FFN_DIM } as const;
const MATRIX_PATCHES = 496;

/**
 * Work of the matrix products and convolutions of the base model.
 *
 * Left out: normalisation, activations, softmax, the position bias and quantisation, so that a share
 * of the limit computed from this is on the low side.
 *
 * @param numSamples at 16 kHz
 */
export function clipWork(numSamples: number): ClipWork {
  const frames = 1 + Math.floor((numSamples - FRAME_LENGTH) / FRAME_SHIFT);
  const rows = Math.floor(frames / PATCH_SIDE);
  const patches = rows * (MEL_BINS / PATCH_SIDE);
  const fbank = frames * (FBANK_KERNELS * FRAME_LENGTH + SPECTRUM_BINS * MEL_BINS);
  const embed = patches * (PATCH_SIDE ** 2 + DIM) * PATCH_DIM;
  const attention = 2 * LAYERS * patches ** 2 * DIM;
  const predictor = rows * DIM * LABELS;
  return {
    projections: LAYERS * projectionWork(patches, FFN_DIM),
    others: 2 * (fbank + embed + positionWork(patches) + attention + predictor),
  };
}

/**
 * Multiply-adds of the position convolution through the spectrum, as the graphs have it: a sixth of what they are
 * directly. Windows of two kernels go there and back by products with fixed matrices, and between them each
 * frequency of each group is one product.
 */
function positionWork(patches: number): number {
  const windows = Math.ceil(patches / CONV_POS_KERNEL);
  const rows = 2 * (CONV_POS_KERNEL + 1);
  const channels = DIM / CONV_POS_GROUPS;
  const thereAndBack = rows * (2 * CONV_POS_KERNEL + CONV_POS_KERNEL) * windows * DIM;
  return thereAndBack + rows * windows * CONV_POS_GROUPS * channels * 2 * channels;
}

/** Of one run of the matrix graph of a precision: the projections of one layer for 10 s. */
export function matrixWork(precision: BenchedPrecision): number {
  return projectionWork(MATRIX_PATCHES, MATRIX_FFN_DIM[precision]);
}

function projectionWork(patches: number, ffnDim: number): number {
  return 2 * patches * (4 * DIM ** 2 + 2 * DIM * ffnDim);
}

/** Least seconds of one core for a clip, if it were nothing but products at the measured rates. */
export function leastSeconds(
  { projections, others }: ClipWork,
  precision: BenchedPrecision,
  rates: MatrixRates,
): number {
  return projections / rates[precision] + others / rates.fp32;
}
