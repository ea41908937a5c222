/**
 * What a clip costs through HTTP, and how much of that is the model.
 *
 * Starts the built service with one engine and one decode thread, posts one real clip after the
 * other, and measures the machine's float32 matrix rate in turn with that. Processor time, not the
 * clock on the wall, so that a busy neighbour changes little. Prints one table of ratios.
 *
 * Run: `npm run bench`. Linux only (/proc).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type EncoderShape, flopsOfClip } from './flops.js';
import { MatrixRate } from './matrix-rate.js';
import { cpuSecondsOf } from './process-cpu.js';

const ROUNDS = 9;
const CLIPS_PER_ROUND = 24;
const CLIP = new URL('../test/fixtures/clips/dog_44k.mp3', import.meta.url);
const SAMPLE_RATE = 16_000;

interface Round {
  /** Seconds of audio answered per second of processor time, HTTP, decoding and engine together. */
  readonly audioPerCpuSecond: number;
  /** Share of that processor time spent outside the engine process. */
  readonly shareOutside: number;
  /** Rate of the engine process in the matrix products of the model, as a share of the matrix rate. */
  readonly shareOfMatrixRate: number;
}

const service = await startService();
try {
  const clip = await readFile(CLIP);
  const matrixRate = await MatrixRate.open();
  await postClips(service.url, clip);
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push(await measureRound(service, clip, matrixRate));
  }
  await print(service.url, rounds);
} finally {
  service.process.kill('SIGINT');
  await once(service.process, 'exit');
}

async function startService(): Promise<{ process: ChildProcess; pid: number; url: string }> {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: {
      ...process.env,
      ...{ PORT: '0', HOST: '127.0.0.1', ENGINES: '1', INTRA_OP_THREADS: '1' },
      ...{ DECODE_CONCURRENCY: '1', EXECUTION_PROVIDER: 'cpu', LOG_LEVEL: 'info' },
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/[\w.:]+/.exec(line)?.[0];
    if (url === undefined || child.pid === undefined) continue;
    child.stdout.resume();
    return { process: child, pid: child.pid, url };
  }
  throw new Error('Expected the service to say where it listens, it ended');
}

/** Posts the clip so many times, one after the other; seconds of audio that were answered. */
async function postClips(url: string, clip: Buffer): Promise<number> {
  let audioSeconds = 0;
  for (let number = 0; number < CLIPS_PER_ROUND; number += 1) {
    const response = await fetch(`${url}/v1/tags`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/octet-stream' },
      body: new Uint8Array(clip),
    });
    if (response.status !== 200) throw new Error(`Expected 200, got ${response.status}`);
    const reply = (await response.json()) as { usage: { audio_seconds: number } };
    audioSeconds += reply.usage.audio_seconds;
  }
  return audioSeconds;
}

async function measureRound(
  { pid, url }: { pid: number; url: string },
  clip: Buffer,
  matrixRate: MatrixRate,
): Promise<Round> {
  const before = await cpuSecondsOf(pid);
  const audioSeconds = await postClips(url, clip);
  const after = await cpuSecondsOf(pid);
  const outside = after.self - before.self;
  const engine = after.children - before.children;
  const clipSamples = Math.round((audioSeconds / CLIPS_PER_ROUND) * SAMPLE_RATE);
  const { shape, numLabels } = await servedModel(url);
  const flops = CLIPS_PER_ROUND * flopsOfClip(clipSamples, numLabels, shape);
  return {
    audioPerCpuSecond: audioSeconds / (outside + engine),
    shareOutside: outside / (outside + engine),
    shareOfMatrixRate: flops / engine / (await matrixRate.measure()),
  };
}

async function servedModel(url: string): Promise<{ shape: EncoderShape; numLabels: number }> {
  const info = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  const name = info.data[0]?.id ?? '';
  const card = new URL(`../models/${name}/model.json`, import.meta.url);
  const { training, labels } = JSON.parse(await readFile(card, 'utf8')) as {
    training: { config: { encoder: EncoderShape } };
    labels: unknown[];
  };
  return { shape: training.config.encoder, numLabels: labels.length };
}

async function print(url: string, rounds: readonly Round[]): Promise<void> {
  const info = await (await fetch(`${url}/v1/info`)).json();
  console.log(`${CLIPS_PER_ROUND} clips of 5 s (MP3, 44.1 kHz) a round, ${ROUNDS} rounds`);
  console.log(`Earshot ${(info as { version: string }).version}, median (lowest to highest)`);
  line('seconds of audio per second of one core, through HTTP', rounds, (r) => r.audioPerCpuSecond);
  line('share of that spent outside the engine process', rounds, (r) => r.shareOutside);
  line("engine's share of the float32 matrix rate of one core", rounds, (r) => r.shareOfMatrixRate);
}

function line(title: string, rounds: readonly Round[], of: (round: Round) => number): void {
  const values = rounds.map(of).sort((a, b) => a - b);
  const median = values[Math.floor(values.length / 2)] ?? Number.NaN;
  const [low, high] = [values[0] ?? Number.NaN, values.at(-1) ?? Number.NaN];
  const show = (value: number) => value.toPrecision(3);
  console.log(`${title.padEnd(56)} ${show(median)} (${show(low)} to ${show(high)})`);
}
