import { toCsvLine } from '../outputs/csv.js';
import { writeWhole } from './document-file.js';
import type { EntryHead } from './entry.js';
import { NpyFile } from './npy-file.js';

/** Vectors of unit length, a row each in a NumPy file, and a table that says whose they are. */
export class EmbeddingFiles {
  readonly #path: string;
  readonly #file: NpyFile;
  /** Path of each row; a file that was answered again has left a row without one. */
  readonly #paths: Map<number, string>;

  /**
   * @param done results of earlier runs, which name their rows
   * @throws UsageError when the file does not hold those rows
   */
  static async open(
    path: string,
    { dim, done }: { dim: number; done: Iterable<EntryHead> },
  ): Promise<EmbeddingFiles> {
    const paths = new Map<number, string>();
    let rows = 0;
    for (const { path: of, embedding_row: row } of done) {
      if (row === undefined) continue;
      paths.set(row, of);
      rows = Math.max(rows, row + 1);
    }
    return new EmbeddingFiles(path, await NpyFile.open(path, { dim, rows }), paths);
  }

  private constructor(path: string, file: NpyFile, paths: Map<number, string>) {
    this.#path = path;
    this.#file = file;
    this.#paths = paths;
  }

  /** @returns the row of the vector */
  async append(path: string, vector: Float32Array): Promise<number> {
    const row = await this.#file.append(vector);
    this.#paths.set(row, path);
    return row;
  }

  /** Ends the file and writes the table beside it, `OUT.npy.csv`: row and path. */
  async close(): Promise<void> {
    await this.#file.close();
    const rows = [...this.#paths].toSorted(([a], [b]) => a - b);
    await writeWhole(`${this.#path}.csv`, async (write) => {
      await write(toCsvLine(['row', 'path']));
      for (const row of rows) await write(toCsvLine(row));
    });
  }
}
