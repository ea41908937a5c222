/**
 * How much memory long recordings take: 10 minutes, 1 hour and 3 hours of MP3 through HTTP.
 *
 * Each length gets a built service of its own, with one engine and one decode thread, and the peak of its resident
 * memory is read from the kernel before it ends. The model is the tiny one of the tests: what an engine takes does not
 * depend on the length, and it would only cost time.
 *
 * Run: `npm run bench:long`. Linux only (/proc).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const LENGTHS_MINUTES = [10, 60, 180];
const CLIP = new URL('../test/fixtures/clips/dog_44k.mp3', import.meta.url);
const CLIP_SECONDS = 5;
const MODELS_DIR = fileURLToPath(new URL('../test/fixtures/models', import.meta.url));
const MEBIBYTE = 2 ** 20;

interface Peak {
  readonly minutes: number;
  readonly uploadBytes: number;
  readonly seconds: number;
  readonly audioSeconds: number;
  readonly windows: number;
  /** Of the service's own process, decode thread included. */
  readonly peakBytes: number;
}

const peaks: Peak[] = [];
for (const minutes of LENGTHS_MINUTES) {
  const peak = await measure(minutes);
  peaks.push(peak);
  const { audioSeconds, windows, uploadBytes, seconds, peakBytes } = peak;
  const size = `${toMebibytes(uploadBytes)} MiB`;
  const speed = Math.round(audioSeconds / seconds);
  console.log(
    `${String(minutes).padStart(4)} min (${size}, ${windows} windows): peak ${toMebibytes(peakBytes)} MiB, ${speed}x real time`,
  );
}
const ratio = (peaks.at(-1)?.peakBytes ?? 0) / (peaks[0]?.peakBytes ?? 1);
console.log(`${ratio.toFixed(2)} times the memory for 18 times the length`);

async function measure(minutes: number): Promise<Peak> {
  const clip = await readFile(CLIP);
  const numClips = (minutes * 60) / CLIP_SECONDS;
  const service = await startService();
  try {
    const startMs = performance.now();
    const { usage } = await postRepeated(service.url, clip, numClips);
    return {
      minutes,
      uploadBytes: clip.length * numClips,
      seconds: (performance.now() - startMs) / 1000,
      audioSeconds: usage.audio_seconds,
      windows: usage.windows,
      peakBytes: await peakBytesOf(service.pid),
    };
  } finally {
    service.process.kill('SIGINT');
    await once(service.process, 'exit');
  }
}

async function startService(): Promise<{ process: ChildProcess; pid: number; url: string }> {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      ...{ PORT: '0', HOST: '127.0.0.1', ENGINES: '1', DECODE_CONCURRENCY: '1', MODELS_DIR },
      ...{ MAX_UPLOAD_BYTES: String(2 ** 30), MAX_CLIP_SECONDS: '20000', PRE_STOP_MS: '0' },
      ...{ REQUEST_TIMEOUT_MS: '3600000', UPLOAD_TIMEOUT_MS: '600000' },
      ...{ DECODE_TIMEOUT_MS: '3600000', EXECUTION_PROVIDER: 'cpu' },
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

interface Reply {
  readonly usage: { readonly audio_seconds: number; readonly windows: number };
}

/** Posts one clip so many times over, as one recording; MP3 frames may follow one another without end. */
async function postRepeated(url: string, clip: Buffer, count: number): Promise<Reply> {
  const posting = request(`${url}/v1/tags`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/octet-stream',
      'Content-Length': clip.length * count,
    },
  });
  const replying = once(posting, 'response');
  const pieces = Readable.from(
    (function* () {
      for (let number = 0; number < count; number += 1) yield clip;
    })(),
  );
  await pipeline(pieces, posting);
  const [response] = await replying;
  const reply = await json(response);
  if (response.statusCode !== 200) throw new Error(`Expected 200, got ${JSON.stringify(reply)}`);
  return reply as Reply;
}

async function peakBytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

function toMebibytes(bytes: number): number {
  return Math.round(bytes / MEBIBYTE);
}
