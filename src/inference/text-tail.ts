/** Keeps the last bytes of a stream of text. */
export class TextTail {
  readonly #maxBytes: number;
  #kept: Buffer = Buffer.alloc(0);

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(piece: Buffer): void {
    this.#kept = Buffer.concat([this.#kept, piece]).subarray(-this.#maxBytes);
  }

  text(): string {
    return this.#kept.toString('utf8');
  }
}
