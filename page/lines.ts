/** Cuts a text that comes in pieces into its lines, wherever the pieces end. */
export class LineSplitter {
  #rest = '';

  /** The lines that this piece completes. */
  push(piece: string): string[] {
    const parts = (this.#rest + piece).split('\n');
    this.#rest = parts.pop() ?? '';
    return parts.filter((line) => line !== '');
  }

  /** What is left when the text has ended without a line feed. */
  end(): string[] {
    const rest = this.#rest;
    this.#rest = '';
    return rest === '' ? [] : [rest];
  }
}
