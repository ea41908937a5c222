import type { Bytes } from './codec.js';

const EMPTY = new Uint8Array(0);

/** Reads a stream of pieces by byte counts. Holds no more than was asked for and one piece. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #held: Uint8Array = EMPTY;

  constructor(pieces: Bytes) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** The next `count` bytes, which stay; fewer at the end. */
  async peek(count: number): Promise<Uint8Array> {
    if (this.#held.length < count) await this.#fill(count);
    return this.#held.subarray(0, count);
  }

  /** The next `count` bytes; fewer at the end. */
  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.peek(count);
    this.#held = this.#held.subarray(bytes.length);
    return bytes;
  }

  /** What is at hand, at least one byte; none at the end. */
  async takeSome(): Promise<Uint8Array> {
    await this.peek(1);
    const bytes = this.#held;
    this.#held = EMPTY;
    return bytes;
  }

  /** Passes over `count` bytes, or what is left, without holding them. */
  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const bytes = await this.takeSome();
      if (bytes.length === 0) return;
      this.#held = bytes.subarray(Math.min(left, bytes.length));
      left -= bytes.length;
    }
  }

  async #fill(count: number): Promise<void> {
    const pieces = [this.#held];
    for (let length = this.#held.length; length < count; ) {
      const next = await this.#pieces.next();
      if (next.done) break;
      pieces.push(next.value);
      length += next.value.length;
    }
    this.#held = pieces.length === 2 && pieces[0] === EMPTY ? pieces[1]! : Buffer.concat(pieces);
  }
}

/** Text of bytes that hold ASCII. */
export const asciiOf = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...bytes.subarray(start, end));

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
