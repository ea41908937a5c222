/** What damage, chance and malice make of a file that was good. */
import type { SeededDraws } from '../seeded-draws.js';

/** One file made of another; `others` are files of other formats. */
export type Mutation = (file: Buffer, draws: SeededDraws, others: readonly Buffer[]) => Buffer;

const HEAD_BYTES = 256;
/** Where lengths, counts and signs turn over. */
const LYING_NUMBERS = [
  0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
];

/** By name, so that a file that breaks something says how it was made. */
export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'one bit': (file, draws) => flipped(file, draws, 1),
  'many bits': (file, draws) => flipped(file, draws, 1 + Math.floor(file.length / 50)),
  'bits of the head': (file, draws) => {
    const head = flipped(file.subarray(0, HEAD_BYTES), draws, 8);
    return Buffer.concat([head, file.subarray(HEAD_BYTES)]);
  },
  'a lying number in the head': (file, draws) => lying(file, draws, HEAD_BYTES),
  'lying numbers anywhere': (file, draws) => {
    let lied = file;
    for (let i = 0; i < 8; i++) lied = lying(lied, draws, file.length);
    return lied;
  },
  'cut off': (file, draws) => file.subarray(0, draws.below(file.length)),
  'cut off in the head': (file, draws) => file.subarray(0, 1 + draws.below(HEAD_BYTES)),
  'begins late': (file, draws) => file.subarray(1 + draws.below(HEAD_BYTES)),
  'a piece gone': (file, draws) => {
    const [start, end] = span(file, draws);
    return Buffer.concat([file.subarray(0, start), file.subarray(end)]);
  },
  'a piece twice': (file, draws) => {
    const [start, end] = span(file, draws);
    return Buffer.concat([file.subarray(0, end), file.subarray(start)]);
  },
  'a piece of zeros': (file, draws) => {
    const [start, end] = span(file, draws);
    return Buffer.from(file).fill(0, start, end);
  },
  'a piece of noise': (file, draws) => {
    const [start, end] = span(file, draws);
    const noise = draws.bytes(end - start);
    return Buffer.concat([file.subarray(0, start), noise, file.subarray(end)]);
  },
  'pieces in another order': (file, draws) => {
    const [start, end] = span(file, draws);
    return Buffer.concat([file.subarray(0, start), file.subarray(end), file.subarray(start, end)]);
  },
  'the head of another format': (file, draws, others) => {
    const head = draws.oneOf(others).subarray(0, 1 + draws.below(HEAD_BYTES));
    return Buffer.concat([head, file.subarray(head.length)]);
  },
  'another format in the middle': (file, draws, others) => {
    const [start, end] = span(file, draws);
    return Buffer.concat([file.subarray(0, start), draws.oneOf(others), file.subarray(end)]);
  },
  'noise before it': (file, draws) => Buffer.concat([draws.bytes(1 + draws.below(600)), file]),
  'noise behind it': (file, draws) => Buffer.concat([file, draws.bytes(1 + draws.below(6000))]),
};

function flipped(file: Buffer, draws: SeededDraws, count: number): Buffer {
  const copy = Buffer.from(file);
  for (let i = 0; i < count; i++) {
    const at = draws.below(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << draws.below(8));
  }
  return copy;
}

function lying(file: Buffer, draws: SeededDraws, end: number): Buffer {
  const copy = Buffer.from(file);
  const width = draws.oneOf([1, 2, 4] as const);
  const at = draws.below(Math.max(1, Math.min(end, copy.length) - width));
  const number = draws.oneOf(LYING_NUMBERS) % 2 ** (8 * width);
  if (copy.length < width) return copy;
  if (draws.share() < 0.5) copy.writeUIntLE(number, at, width);
  else copy.writeUIntBE(number, at, width);
  return copy;
}

function span(file: Buffer, draws: SeededDraws): [start: number, end: number] {
  const start = draws.below(file.length);
  return [start, Math.min(file.length, start + 1 + draws.below(4000))];
}
