import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataUriDecoder } from '../../src/http/data-uri.js';

function decode(pieces: readonly string[]): Buffer {
  const decoder = new DataUriDecoder('input');
  return Buffer.concat([...pieces.map((piece) => decoder.decode(piece)), decoder.end()]);
}

/** Cuts text at these places. */
function cut(text: string, shares: readonly number[]): string[] {
  const places = shares.map((share) => Math.floor(share * text.length)).toSorted((a, b) => a - b);
  return [0, ...places].map((start, i) => text.slice(start, places[i] ?? text.length));
}

describe('DataUriDecoder', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });

  it('gives the bytes back, wherever the pieces end, padded or not', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(share), fc.boolean(), (bytes, shares, isPadded) => {
        const base64 = Buffer.from(bytes).toString('base64');
        const text = `data:audio/wav;base64,${isPadded ? base64 : base64.replace(/=+$/, '')}`;
        expect(decode(cut(text, shares))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it.each([
    'hello',
    'data:audio/wav,UklG',
    'data:audio/wav;base64',
    'http://example.org/dog.wav',
    `data:${'x'.repeat(300)};base64,AAAA`,
    'data:;base64,AAAA AAAA',
    'data:;base64,AA==AAAA',
    'data:;base64,A',
    'data:;base64,A===',
    'data:;base64,-_-_',
    'data:;base64,AA=A',
  ])('refuses %s, in one piece and in many', (text) => {
    for (const pieces of [[text], [...text]]) {
      expect(() => decode(pieces)).toThrow(expect.objectContaining({ code: 'invalid_value' }));
    }
  });
});
