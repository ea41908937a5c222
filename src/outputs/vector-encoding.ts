import { f16round } from '@petamoriken/float16';
import { toFloatBytes } from './number-bytes.js';

/**
 * How the numbers of a vector are kept.
 *
 * - `int8`: 127 times the value, rounded; for vectors of unit length, so that a dot product over 127 * 127 is a cosine
 * - `ubinary`: one bit for each value, 1 where it is above 0, eight to a byte, the first in the highest bit (as
 *   numpy.packbits does); for Hamming distances
 */
export type Dtype = 'float32' | 'float16' | 'int8' | 'ubinary';

const INT8_SCALE = 127;
/** Of a byte. */
const BITS = 8;

interface DtypeFormat {
  /** Numbers as JSON has them: those of `bytes`, no more digits than give them back. */
  numbers(vector: Float32Array): number[];
  /** Little-endian, as the same numbers lie in an array. */
  bytes(vector: Float32Array): Uint8Array;
  /** As NumPy describes it. */
  readonly npyDescr: string;
  /** Numbers that stand for a vector of so many values. */
  width(dim: number): number;
}

/** Digits that give every float32, every float16 back. */
const FLOAT32_DIGITS = 9;
const FLOAT16_DIGITS = 5;

export const DTYPES: Readonly<Record<Dtype, DtypeFormat>> = {
  float32: {
    numbers: (vector) => Array.from(vector, (value) => Number(value.toPrecision(FLOAT32_DIGITS))),
    bytes: (vector) => toFloatBytes(vector, 'float32'),
    npyDescr: '<f4',
    width: (dim) => dim,
  },
  float16: {
    numbers: (vector) =>
      Array.from(vector, (value) => Number(f16round(value).toPrecision(FLOAT16_DIGITS))),
    bytes: (vector) => toFloatBytes(vector, 'float16'),
    npyDescr: '<f2',
    width: (dim) => dim,
  },
  int8: {
    numbers: (vector) => Array.from(toInt8(vector)),
    bytes: (vector) => new Uint8Array(toInt8(vector).buffer),
    npyDescr: '|i1',
    width: (dim) => dim,
  },
  ubinary: {
    numbers: (vector) => Array.from(toBits(vector)),
    bytes: toBits,
    npyDescr: '|u1',
    width: (dim) => Math.ceil(dim / BITS),
  },
};

function toInt8(vector: Float32Array): Int8Array<ArrayBuffer> {
  return Int8Array.from(vector, (value) => Math.round(INT8_SCALE * value));
}

function toBits(vector: Float32Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(vector.length / BITS));
  for (const [i, value] of vector.entries()) {
    const place = Math.floor(i / BITS);
    if (value > 0) bytes[place] = (bytes[place] ?? 0) | (0x80 >> (i % BITS));
  }
  return bytes;
}
