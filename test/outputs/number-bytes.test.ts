import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toFloatBytes } from '../../src/outputs/number-bytes.js';

/** What a float16 of these bits is, written out from IEEE 754. */
function ofBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const bitsOf = (value: number): number => {
  const [low = 0, high = 0] = toFloatBytes([value], 'float16');
  return low + 256 * high;
};

describe('toFloatBytes', () => {
  it('gives float32 back exactly', () => {
    fc.assert(
      fc.property(fc.float32Array(), (values) => {
        const bytes = toFloatBytes(values, 'float32');
        const view = new DataView(bytes.buffer);
        expect(bytes).toHaveLength(4 * values.length);
        values.forEach((value, i) => {
          expect(view.getFloat32(4 * i, true)).toBe(value);
        });
      }),
    );
  });

  it('gives every finite float16 back exactly', () => {
    for (let bits = 0; bits < 65_536; bits++) {
      const value = ofBits(bits);
      if (Number.isFinite(value) && bitsOf(value) !== bits) expect(bitsOf(value)).toBe(bits);
    }
  });

  it('rounds to the nearest float16, of two as near to the even one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 31_742 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (bits, share) => {
          const [low, high] = [ofBits(bits), ofBits(bits + 1)];
          const value = low + share * (high - low);
          const middle = (low + high) / 2;
          const even = bits % 2 === 0 ? bits : bits + 1;
          const nearest = value < middle ? bits : value > middle ? bits + 1 : even;
          expect(bitsOf(value)).toBe(nearest);
        },
      ),
    );
    expect(ofBits(bitsOf(70_000))).toBe(Infinity);
  });
});
