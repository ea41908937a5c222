import { crc32, deflateSync } from 'node:zlib';

/** Pixels as places in a palette: a third of the bytes of RGB, and no colour between two of the palette. */
export interface IndexedImage {
  readonly width: number;
  readonly height: number;
  /** (height, width), top row first. */
  readonly pixels: Uint8Array;
  /** Red, green and blue of up to 256 colours. */
  readonly palette: Uint8Array;
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const BIT_DEPTH = 8;
const INDEXED = 3;

/**
 * A PNG file.
 *
 * @see https://www.w3.org/TR/png-3/
 */
export function encodePng({ width, height, pixels, palette }: IndexedImage): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([BIT_DEPTH, INDEXED], 8);
  // Each line starts with the number of its filter: 0, none, is best for a palette.
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) {
    lines.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  return Buffer.concat([
    SIGNATURE,
    toChunk('IHDR', head),
    toChunk('PLTE', palette),
    toChunk('IDAT', deflateSync(lines)),
    toChunk('IEND', Buffer.alloc(0)),
  ]);
}

function toChunk(type: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(content.length, 0);
  chunk.set(body, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}
