import { toCsvLine } from '../outputs/csv.js';
import { writeWhole } from './document-file.js';
import type { EntryHead } from './entry.js';
import { NpyFile } from './npy-file.js';

/** Vectors of unit length, a row each in a NumPy file, and a table that says whose they are. */
export class EmbeddingFiles {
  readonly #path: string;
  readonly #file: NpyFile;
  /** Row of each path; a file that was answered again has left an older row, which is nobody's. */
  readonly #rows: Map<string, number>;

  /**
   * @param done results of earlier runs, which name their rows
   * @throws UsageError when the file does not hold those rows
   */
  static async open(
    path: string,
    { dim, done }: { dim: number; done: Iterable<EntryHead> },
  ): Promise<EmbeddingFiles> {
    const rows = new Map<string, number>();
    let numRows = 0;
    for (const { path: of, embedding_row: row } of done) {
      if (row === undefined) continue;
      rows.set(of, row);
      numRows = Math.max(numRows, row + 1);
    }
    return new EmbeddingFiles(path, await NpyFile.open(path, { dim, rows: numRows }), rows);
  }

  private constructor(path: string, file: NpyFile, rows: Map<string, number>) {
    this.#path = path;
    this.#file = file;
    this.#rows = rows;
  }

  /** @returns the row of the vector */
  async append(path: string, vector: Float32Array): Promise<number> {
    const row = await this.#file.append(vector);
    this.#rows.set(path, row);
    return row;
  }

  /** Ends the file and writes the table beside it, `OUT.npy.csv`: row and path. */
  async close(): Promise<void> {
    await this.#file.close();
    const rows = [...this.#rows].toSorted(([, a], [, b]) => a - b);
    await writeWhole(`${this.#path}.csv`, async (write) => {
      await write(toCsvLine(['row', 'path']));
      for (const [path, row] of rows) await write(toCsvLine([row, path]));
    });
  }
}
