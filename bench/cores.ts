/** What a second core is worth, by the clock on the wall: wants a machine that does nothing else. */
import { readFile } from 'node:fs/promises';
import type { BenchedPrecision } from './clip-work.js';
import { openMatrix, openSession } from './contenders/onnxruntime.js';
import { type BenchedService, postClip, startService } from './contenders/service.js';
import type { Figure } from './figures.js';
import { ratios } from './statistics.js';

const CLIPS = 16;
const REQUESTS_PER_CORE = 2;
const MATRIX_TURNS = 2;
/** One is decoded while another is in the engine, and one waits. */
const REQUESTS_OF_ONE_ENGINE = 3;
const SESSION_CLIPS = { fp32: 8, int8: 16 } as const;

export interface CoresOptions {
  readonly modelsDir: string;
  readonly matrices: string;
  /** Of the model, in `modelsDir`. */
  readonly modelFolder: string;
  /** File of the clip's samples, which the session takes. */
  readonly waveform: string;
  /** File that is posted. */
  readonly clip: string;
  readonly rounds: number;
}

/** Services on one core and on two in turn, one engine beside a free core, and products of matrices in one process and in two. */
export async function measureCores(options: CoresOptions): Promise<Figure[]> {
  return [
    await measureOneEngine(options, 'fp32'),
    await measureOneEngine(options, 'int8'),
    await measureServices(options),
    await measureMatrices(options),
  ];
}

/** A session alone, and the service with one engine, whose decode threads have the other core. */
async function measureOneEngine(
  { modelsDir, modelFolder, waveform, clip, rounds }: CoresOptions,
  precision: BenchedPrecision,
): Promise<Figure> {
  const bytes = await readFile(clip);
  const clips = SESSION_CLIPS[precision];
  const session = await openSession(modelFolder, waveform, { precision, seconds: 10 });
  const service = await startService({ modelsDir, precision, cores: 2, engines: 1 });
  const seconds: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round < rounds; round += 1) {
      seconds[0].push(await wallSeconds(() => session.run(clips)));
      seconds[1].push(await postMany(service, bytes, { clips, inHand: REQUESTS_OF_ONE_ENGINE }));
      console.error(`one engine, ${precision}, round ${round + 1} of ${rounds}`);
    }
  } finally {
    await session.close();
    await service.close();
  }
  return {
    key: `one-engine-${precision}`,
    title: `through HTTP, one engine beside a free core, ${precision === 'fp32' ? 'float32' : 'int8'}, MP3: share of the session's rate by the clock`,
    target: { atLeast: 0.95 },
    ...ratios(seconds[0], seconds[1]),
  };
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
      for (const [index, service] of services.entries()) {
        const inHand = (index + 1) * REQUESTS_PER_CORE;
        seconds[index]?.push(await postMany(service, bytes, { clips: CLIPS, inHand }));
      }
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
async function postMany(
  { url }: BenchedService,
  bytes: Buffer,
  { clips, inHand }: { readonly clips: number; readonly inHand: number },
): Promise<number> {
  let left = clips;
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

async function wallSeconds(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}
