import { truncateSync } from 'node:fs';
import type { ClipFolder } from './clips.js';
import { writeWav } from './wav-writer.js';

const BYTES_PER_SECOND = 16_000;

/** Silence of 16 bits at 8 kHz; nearly nothing of it is on the disk. */
export function writeSilence(folder: ClipFolder, minutes: number): string {
  const numBytes = minutes * 60 * BYTES_PER_SECOND;
  const head = writeWav({ kind: 's16', sampleRate: 8_000, channels: [[]] });
  head.writeUInt32LE(numBytes, head.length - 4);
  const path = folder.write(head);
  truncateSync(path, head.length + numBytes);
  return path;
}
