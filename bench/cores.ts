/** Two cores against one, by the clock on the wall: wants a machine that does nothing else. */
import { readFile } from 'node:fs/promises';
import { openMatrix } from './contenders/onnxruntime.js';
import { type BenchedService, postClip, startService } from './contenders/service.js';
import type { Figure } from './figures.js';
import { ratios } from './statistics.js';

const CLIPS = 16;
const REQUESTS_PER_CORE = 2;
const MATRIX_TURNS = 2;

export interface CoresOptions {
  readonly modelsDir: string;
  readonly matrices: string;
  /** File that is posted. */
  readonly clip: string;
  readonly rounds: number;
}

/** Services on one core and on two in turn, and products of matrices in one process and in two. */
export async function measureCores(options: CoresOptions): Promise<Figure[]> {
  return [await measureServices(options), await measureMatrices(options)];
}

async function measureServices({ modelsDir, clip, rounds }: CoresOptions): Promise<Figure> {
  const bytes = await readFile(clip);
  const services: [BenchedService, BenchedService] = [
    await startService({ modelsDir, precision: 'int8', cores: 1 }),
    await startService({ modelsDir, precision: 'int8', cores: 2 }),
  ];
  const seconds: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round < rounds; round += 1) {
      seconds[0].push(await postMany(services[0], bytes, REQUESTS_PER_CORE));
      seconds[1].push(await postMany(services[1], bytes, 2 * REQUESTS_PER_CORE));
      console.error(`cores, round ${round + 1} of ${rounds}`);
    }
  } finally {
    for (const service of services) await service.close();
  }
  return {
    key: 'two-cores',
    title: 'service on two cores, int8, MP3: times the throughput of one',
    target: { atLeast: 1.9 },
    ...ratios(seconds[0], seconds[1]),
  };
}

/** Seconds on the wall for all clips, so many in hand at a time. */
async function postMany({ url }: BenchedService, bytes: Buffer, inHand: number): Promise<number> {
  let left = CLIPS;
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: inHand }, async () => {
      for (; left > 0; ) {
        left -= 1;
        await postClip(url, bytes);
      }
    }),
  );
  return (performance.now() - startMs) / 1000;
}

async function measureMatrices({ matrices, rounds }: CoresOptions): Promise<Figure> {
  const children = [await openMatrix(matrices, 'int8'), await openMatrix(matrices, 'int8')];
  const seconds: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round < rounds; round += 1) {
      seconds[0].push(await wallSeconds(() => takeTurns(children.slice(0, 1))));
      seconds[1].push(await wallSeconds(() => takeTurns(children)));
    }
  } finally {
    for (const child of children) await child.close();
  }
  return {
    key: 'two-cores-matrix',
    title: 'products alone, int8, in two processes: times the throughput of one',
    ...ratios(
      seconds[0].map((each) => 2 * each),
      seconds[1],
    ),
  };
}

/** Every child takes as many turns, all at once. */
async function takeTurns(children: readonly { turn(): Promise<number> }[]): Promise<void> {
  await Promise.all(
    children.map(async (child) => {
      for (let turn = 0; turn < MATRIX_TURNS; turn += 1) await child.turn();
    }),
  );
}

async function wallSeconds(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}
