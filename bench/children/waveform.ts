import { readFile } from 'node:fs/promises';

/** Samples of a file of plain float32, at 16 kHz. */
export async function readWaveform(path: string): Promise<Float32Array> {
  const bytes = await readFile(path);
  return new Float32Array(new Uint8Array(bytes).buffer);
}
