/** Shape of an encoder, as `training.config.encoder` of its model card tells it. */
export interface EncoderShape {
  readonly patch_dim: number;
  readonly dim: number;
  readonly ffn_dim: number;
  readonly layers: number;
  readonly conv_pos_kernel: number;
  readonly conv_pos_groups: number;
}

const FRAME_LENGTH = 400;
const FRAME_SHIFT = 160;
const FBANK_KERNELS = 512;
const SPECTRUM_BINS = 256;
const MEL_BINS = 128;
const PATCH_SIDE = 16;

/**
 * Multiplications and additions of the matrix products and convolutions for one clip.
 *
 * Left out: normalisation, activations, softmax and the position bias, so that a share of the
 * matrix rate computed from this is on the low side.
 *
 * @param numSamples at 16 kHz
 */
export function flopsOfClip(numSamples: number, numLabels: number, shape: EncoderShape): number {
  const { patch_dim: patchDim, dim, ffn_dim: ffnDim, layers } = shape;
  const frames = 1 + Math.floor((numSamples - FRAME_LENGTH) / FRAME_SHIFT);
  const rows = Math.floor(frames / PATCH_SIDE);
  const patches = rows * (MEL_BINS / PATCH_SIDE);
  const fbank = frames * (FBANK_KERNELS * FRAME_LENGTH + SPECTRUM_BINS * MEL_BINS);
  const embed = patches * (PATCH_SIDE ** 2 * patchDim + (patchDim === dim ? 0 : patchDim * dim));
  const positions = (patches * dim * dim * shape.conv_pos_kernel) / shape.conv_pos_groups;
  const projections = patches * (4 * dim * dim + 2 * dim * ffnDim);
  const attention = 2 * patches * patches * dim;
  return (
    2 * (fbank + embed + positions + layers * (projections + attention) + rows * dim * numLabels)
  );
}
