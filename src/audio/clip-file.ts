import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const READ_BYTES = 65_536;

/**
 * A clip on disk, open for reading.
 *
 * Reads block: it is for decode threads, where waiting for the disk elsewhere would only add hops.
 */
export class ClipFile {
  readonly #descriptor: number;

  constructor(path: string) {
    this.#descriptor = openSync(path, 'r');
  }

  get sizeBytes(): number {
    return fstatSync(this.#descriptor).size;
  }

  /** The bytes at a place; fewer at the end. */
  readAt(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let numRead = 0;
    while (numRead < length) {
      const count = readSync(this.#descriptor, bytes, numRead, length - numRead, offset + numRead);
      if (count === 0) break;
      numRead += count;
    }
    return bytes.subarray(0, numRead);
  }

  /** All bytes from a place on, in pieces of at most `pieceBytes`. */
  async *readPieces(offset: number, pieceBytes: number): AsyncGenerator<Uint8Array, void> {
    for (let position = offset; ; ) {
      const bytes = this.readAt(position, READ_BYTES);
      if (bytes.length === 0) return;
      position += bytes.length;
      for (let start = 0; start < bytes.length; start += pieceBytes) {
        yield bytes.subarray(start, start + pieceBytes);
      }
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
