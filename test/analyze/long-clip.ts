import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardWindow,
  hearClip,
  WHOLE_CLIP,
} from '../../src/analyze/hear.js';
import type { OutputName } from '../../src/inference/batch.js';
import { tone } from '../audio/signals.js';
import { writeWav } from '../audio/wav-writer.js';
import type { Workshop } from '../http/test-service.js';

const SAMPLE_RATE = 16_000;

/** Two channels of 21.3 s with different sounds, one after the other: three windows each, the last of nine rows. */
export function longClip(): Buffer {
  const channels = [300, 700].map((hz) =>
    Float32Array.from(
      [1, 3, 2].flatMap((factor) => [
        ...tone({
          hz: hz * factor,
          amplitude: 0.2 * factor,
          sampleRate: SAMPLE_RATE,
          seconds: 7.1,
        }),
      ]),
    ),
  );
  return writeWav({ kind: 's16', sampleRate: SAMPLE_RATE, channels });
}

/** Bytes as a file of its own, for as long as `work` takes. */
export async function withClip<T>(bytes: Buffer, work: (clip: ClipFile) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'earshot-clip-'));
  const path = join(folder, 'clip');
  writeFileSync(path, bytes);
  try {
    return await work({ path, bytes: bytes.length });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What hearing a clip needs, with nobody listening. */
export function quietDeps({ decoder, registry }: Workshop): AnalysisDeps {
  const observer = { enter() {}, spent() {}, decodeDone() {}, decodeFailed() {} };
  const { signal } = new AbortController();
  return { decoder, model: registry.get(), observer, signal };
}

/** All windows of a clip, kept. */
export async function windowsOf(
  clip: ClipFile,
  outputs: readonly OutputName[],
  deps: AnalysisDeps,
  hearing = WHOLE_CLIP,
): Promise<HeardWindow[]> {
  const windows: HeardWindow[] = [];
  await hearClip(clip, { ...hearing, outputs }, (window) => void windows.push(window), deps);
  return windows;
}

/** The rows of an output of windows, one after the other. */
export function rowsOf(
  windows: readonly HeardWindow[],
  output: 'row_logits' | 'row_embeddings',
  width: number,
): Float32Array[] {
  return windows.flatMap(({ values, rows }) =>
    Array.from({ length: rows }, (_, row) =>
      (values[output] ?? new Float32Array()).slice(row * width, (row + 1) * width),
    ),
  );
}

/** Mean of each column. */
export function meanOfRows(rows: readonly Float32Array[]): number[] {
  return Array.from(rows[0] ?? [], (_, column) => {
    const sum = rows.reduce((total, row) => total + (row[column] ?? Number.NaN), 0);
    return sum / rows.length;
  });
}
