import type { Activation, Label } from '../inference/model-card.js';
import { toScores } from './scores.js';

/** When something is strongest. */
export interface Peak {
  /** Of the clip's grid. */
  readonly row: number;
  readonly score: number;
}

/** The strongest row of each label of a clip, whose windows come one after the other. */
export class Peaks {
  readonly #activation: Activation;
  readonly #rows: Int32Array;
  readonly #scores: Float32Array;

  constructor(numLabels: number, activation: Activation) {
    this.#activation = activation;
    this.#rows = new Int32Array(numLabels);
    this.#scores = new Float32Array(numLabels).fill(-1);
  }

  /**
   * @param rowLogits (rows, labels)
   * @param firstRow row of the clip's grid that is their first
   */
  add(rowLogits: Float32Array, firstRow: number): void {
    const width = this.#rows.length;
    for (let start = 0; start < rowLogits.length; start += width) {
      const scores = toScores(rowLogits.subarray(start, start + width), this.#activation);
      this.#addRow(scores, firstRow + start / width);
    }
  }

  /** The strongest row of any of these labels; of equal ones the first. */
  of(labels: readonly Label[]): Peak {
    const peaks = labels.map(({ classIndex }) => ({
      row: this.#rows[classIndex] ?? 0,
      score: this.#scores[classIndex] ?? 0,
    }));
    return peaks.reduce((best, peak) =>
      peak.score > best.score || (peak.score === best.score && peak.row < best.row) ? peak : best,
    );
  }

  #addRow(scores: Float32Array, row: number): void {
    for (let index = 0; index < scores.length; index++) {
      const score = scores[index] ?? 0;
      if (score <= (this.#scores[index] ?? 0)) continue;
      this.#scores[index] = score;
      this.#rows[index] = row;
    }
  }
}
