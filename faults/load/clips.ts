import { readFileSync } from 'node:fs';

const CLIPS = new URL('../../test/fixtures/clips/', import.meta.url);

/** Bytes of a real clip of the tests. */
export const realClip = (name: string): Buffer => readFileSync(new URL(name, CLIPS));

/** The bark of five seconds so many times in a row, as one chained stream: much work in few bytes. */
export const barks = (times: number): Buffer =>
  Buffer.concat(Array(times).fill(realClip('dog.opus')));
