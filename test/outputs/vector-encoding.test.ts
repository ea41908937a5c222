import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toUnitLength } from '../../src/outputs/embedding.js';
import { npyHeader } from '../../src/outputs/npy.js';
import { DTYPES, type Dtype } from '../../src/outputs/vector-encoding.js';
import { parseNpy } from './npy-reader.js';

const ALL_DTYPES = Object.keys(DTYPES) as Dtype[];
const PYTHON = fileURLToPath(new URL('../../training/.venv/bin/python', import.meta.url));

const unitVectors = fc
  .float32Array({ min: -1, max: 1, noNaN: true, minLength: 1, maxLength: 70 })
  .map(toUnitLength);

/** Vectors as one NumPy file. */
const toNpy = (vectors: readonly Float32Array[], dtype: Dtype): Buffer => {
  const { bytes, npyDescr, width } = DTYPES[dtype];
  const header = npyHeader(npyDescr, [vectors.length, width(vectors[0]!.length)]);
  return Buffer.concat([header, ...vectors.map(bytes)]);
};

describe.each(ALL_DTYPES)('%s', (dtype) => {
  const { numbers, bytes, width } = DTYPES[dtype];

  it('has the same numbers in JSON, in bytes and in a NumPy file', () => {
    fc.assert(
      fc.property(unitVectors, (vector) => {
        const inJson = JSON.parse(JSON.stringify(numbers(vector)));
        expect(inJson).toHaveLength(width(vector.length));
        const file = parseNpy(toNpy([vector, vector], dtype));
        expect(file.shape).toEqual([2, width(vector.length)]);
        // float16 has no name in older JavaScript: what is read back is rounded as the JSON is.
        const rows = [inJson, inJson].flat();
        expect(file.values).toHaveLength(rows.length);
        file.values.forEach((value, i) => {
          expect(Number(value.toPrecision(dtype === 'float16' ? 5 : 9))).toBe(rows[i]);
        });
        expect(file.body.subarray(0, bytes(vector).length)).toEqual(Buffer.from(bytes(vector)));
      }),
    );
  });
});

describe('what the numbers are', () => {
  it('float32 is exact in JSON', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true }), (vector) => {
        expect(Float32Array.from(DTYPES.float32.numbers(vector))).toEqual(vector.map((v) => v + 0));
      }),
    );
  });

  it('int8 keeps cosines to a hundredth', () => {
    const directions = fc
      .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 192, maxLength: 192 })
      .map((values) => toUnitLength(Float32Array.from(values)));
    fc.assert(
      fc.property(directions, directions, (a, b) => {
        const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
          Array.from(x).reduce((sum, value, i) => sum + value * y[i]!, 0);
        const [inBytes, inFull] = [dot(DTYPES.int8.numbers(a), DTYPES.int8.numbers(b)), dot(a, b)];
        expect(Math.abs(inBytes / 127 ** 2 - inFull)).toBeLessThan(0.02);
      }),
    );
  });

  it('ubinary has the signs, the first in the highest bit', () => {
    const vector = Float32Array.of(0.1, -0.2, 0, 3, -1, -1, -1, 0.5, 0.9);
    expect(DTYPES.ubinary.numbers(vector)).toEqual([0b1001_0001, 0b1000_0000]);
  });
});

describe('npyHeader', () => {
  it('ends where a multiple of 64 begins, whatever the shape', () => {
    for (const rows of [1, 9, 12_345, 123_456_789]) {
      const header = Buffer.from(npyHeader('<f4', [rows, 768]));
      expect(header.length % 64).toBe(0);
      expect(header.at(-1)).toBe(0x0a);
      expect(parseNpy(header).shape).toEqual([rows, 768]);
    }
    expect(Buffer.from(npyHeader('<f4', [7])).toString('latin1')).toContain("'shape': (7,)");
  });

  it('is read by NumPy, with the numbers of each type', ({ skip }) => {
    if (!existsSync(PYTHON)) skip('training/.venv with NumPy is not there');
    const vectors = [
      toUnitLength(Float32Array.of(0.3, -2, 0, 1.1, 5)),
      toUnitLength(Float32Array.of(1, 2, 3, -4, 5)),
    ];
    for (const dtype of ALL_DTYPES) {
      const code = [
        'import io, json, sys, numpy',
        'array = numpy.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)',
        'print(json.dumps([str(array.dtype), array.tolist()]))',
      ].join('\n');
      const printed = execFileSync(PYTHON, ['-c', code], { input: toNpy(vectors, dtype) });
      const [type, rows] = JSON.parse(printed.toString());
      expect(type).toBe(dtype === 'ubinary' ? 'uint8' : dtype);
      rows.forEach((row: number[], i: number) => {
        const expected = DTYPES[dtype].numbers(vectors[i]!);
        row.forEach((value, j) => {
          expect(value).toBeCloseTo(expected[j]!, dtype === 'float16' ? 4 : 8);
        });
      });
    }
  });
});
