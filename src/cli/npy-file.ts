import { type FileHandle, open } from 'node:fs/promises';
import { npyHeader } from '../outputs/npy.js';
import { UsageError } from './usage-error.js';

const FLOAT32_BYTES = 4;
const DESCR = '<f4';

/**
 * A NumPy file, float32 (rows, dim), that grows by a row at a time. It can be read at any moment: the
 * row is there before the head counts it.
 */
export class NpyFile {
  readonly #handle: FileHandle;
  readonly #dim: number;
  #rows: number;

  /**
   * @param rows that are kept of an earlier run; what follows them is cut off
   * @throws UsageError when there is something else, or less
   */
  static async open(path: string, { dim, rows }: { dim: number; rows: number }): Promise<NpyFile> {
    const handle = await open(path, rows > 0 ? 'r+' : 'w').catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(`${path}: cannot be written to (${error.code})`);
    });
    const file = new NpyFile(handle, { dim, rows });
    try {
      if (rows > 0) await file.#assertHolds(path);
      await handle.truncate(file.#offset(rows));
      await file.#writeHead();
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private constructor(handle: FileHandle, { dim, rows }: { dim: number; rows: number }) {
    this.#handle = handle;
    this.#dim = dim;
    this.#rows = rows;
  }

  /** @returns the row's place */
  async append(vector: Float32Array): Promise<number> {
    if (vector.length !== this.#dim) {
      throw new RangeError(`Expected ${this.#dim} numbers, got ${vector.length}`);
    }
    const bytes = Buffer.alloc(this.#dim * FLOAT32_BYTES);
    for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * FLOAT32_BYTES);
    await this.#handle.write(bytes, 0, bytes.length, this.#offset(this.#rows));
    this.#rows += 1;
    await this.#writeHead();
    return this.#rows - 1;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #offset(row: number): number {
    return npyHeader(DESCR, [row, this.#dim]).length + row * this.#dim * FLOAT32_BYTES;
  }

  async #writeHead(): Promise<void> {
    const head = npyHeader(DESCR, [this.#rows, this.#dim]);
    await this.#handle.write(head, 0, head.length, 0);
  }

  async #assertHolds(path: string): Promise<void> {
    const { size } = await this.#handle.stat();
    const head = Buffer.alloc(npyHeader(DESCR, [this.#rows, this.#dim]).length);
    await this.#handle.read(head, 0, head.length, 0);
    const [, dim] = /'shape': \(\d+, (\d+)\)/.exec(head.toString('latin1')) ?? [];
    if (size >= this.#offset(this.#rows) && Number(dim) === this.#dim) return;
    throw new UsageError(
      `${path}: expected the ${this.#rows} rows of ${this.#dim} numbers that the results name; ` +
        'add --overwrite to begin anew',
    );
  }
}
