import { toFloatBytes } from '../number-bytes.js';

export type TimelineType = 'float32' | 'float16' | 'uint8';
/** Rows of scores as a reply carries them: numbers, or base64 of their bytes, row after row. */
export type TimelineScores = number[][] | string;

const LARGEST_UINT8 = 255;
const SCORE_STEPS = 1e6;

/**
 * Scores over time as text or numbers.
 *
 * Bytes are little-endian; as `uint8`, 255 is a score of 1. Numbers are rounded as the type says,
 * float32 to six decimals: what is behind them differs between machines.
 *
 * @param rows (rows, labels) scores
 */
export function toTimelineScores(
  rows: readonly Float32Array[],
  { encoding, type }: { encoding: 'json' | 'base64'; type: TimelineType },
): TimelineScores {
  if (encoding === 'base64') {
    return Buffer.concat(rows.map((scores) => toBytes(scores, type))).toString('base64');
  }
  return rows.map((scores) => Array.from(scores, (score) => toNumber(score, type)));
}

function toBytes(scores: Float32Array, type: TimelineType): Uint8Array {
  return type === 'uint8' ? Uint8Array.from(scores, toUint8) : toFloatBytes(scores, type);
}

function toNumber(score: number, type: TimelineType): number {
  return type === 'uint8' ? toUint8(score) : Math.round(score * SCORE_STEPS) / SCORE_STEPS;
}

const toUint8 = (score: number): number => Math.round(score * LARGEST_UINT8);
