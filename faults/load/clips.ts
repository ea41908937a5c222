import { readFileSync } from 'node:fs';

const SAMPLE_RATE = 8000;
const RIFF_HEADER_BYTES = 8;
const DATA_HEADER_BYTES = 8;
const CLIPS = new URL('../../test/fixtures/clips/', import.meta.url);

/** Bytes of a real clip of the tests. */
export const realClip = (name: string): Buffer => readFileSync(new URL(name, CLIPS));

/** The bark of five seconds as a WAV file of 8 bits, as often in a row as it takes: work that is quick to send. */
export function longBark(seconds: number): Buffer {
  const once = realClip('dog_8k_u8.wav');
  const header = Buffer.from(once.subarray(0, once.indexOf('data') + DATA_HEADER_BYTES));
  const data = Buffer.alloc(seconds * SAMPLE_RATE, once.subarray(header.length));
  header.writeUInt32LE(header.length + data.length - RIFF_HEADER_BYTES, 4);
  header.writeUInt32LE(data.length, header.length - 4);
  return Buffer.concat([header, data]);
}
