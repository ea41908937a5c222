import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENCODER_OUTPUTS, toBatch } from '../../src/inference/batch.js';
import { type Engine, startEngine } from '../../src/inference/engine-process.js';
import { graphSpecs } from '../../src/inference/graph-spec.js';
import { ManualClock } from './manual-clock.js';
import {
  cpuMs,
  enginePids,
  engineSpecOf,
  TINY_FOLDER,
  tinyCard,
  until,
  windowOf,
} from './tiny-model.js';

const LOGITS = { outputs: ['clip_logits'], timeoutMs: 60_000 } as const;
const ALL = { outputs: ENCODER_OUTPUTS, timeoutMs: 60_000 };

const batchOf = (seconds: number) => {
  const window = windowOf(seconds);
  return toBatch([window], { size: 1, samples: window.samples.length }, 2800);
};

/** A run so long that it can be met in its middle, and the moment when it is there. */
const LONG_SECONDS = 60;
async function untilRunning(engine: Engine): Promise<void> {
  const before = await cpuMs(engine.pid);
  await until(async () => (await cpuMs(engine.pid)) > before + 100);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('an engine', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine(await engineSpecOf(TINY_FOLDER));
  });
  afterAll(() => engine.close({ graceMs: 0 }));

  it('gives what the graph gives in this process', async () => {
    const { waveform, samples, ...batch } = batchOf(3);
    const session = await InferenceSession.create(join(TINY_FOLDER, 'encoder.fp32.onnx'));
    const direct = await session.run({
      waveform: new Tensor('float32', waveform, [1, samples]),
      num_samples: new Tensor('int64', BigInt64Array.of(BigInt(samples)), [1]),
    });
    const { windows, inferenceMs } = await engine.run({ waveform, samples, ...batch }, ALL);
    for (const name of ENCODER_OUTPUTS)
      expect(windows[0]?.values[name]).toEqual(direct[name]?.data);
    expect(inferenceMs).toBeGreaterThan(0);
    await session.release();
  });

  it('gives only what was asked for', async () => {
    const { windows } = await engine.run(batchOf(1), LOGITS);
    expect(Object.keys(windows[0]?.values ?? {})).toEqual(['clip_logits']);
  });

  it('refuses a second run at a time', async () => {
    const first = engine.run(batchOf(1), LOGITS);
    await expect(engine.run(batchOf(1), LOGITS)).rejects.toThrow('one command at a time');
    await first;
  });

  it('survives Ctrl-C, which reaches the whole process group', async () => {
    process.kill(engine.pid, 'SIGINT');
    await expect(engine.run(batchOf(1), LOGITS)).resolves.toMatchObject({ windows: [{ rows: 6 }] });
  });
});

describe('an engine that ends', () => {
  async function withEngine(use: (engine: Engine) => Promise<void>, clock = new ManualClock()) {
    const engine = await startEngine(await engineSpecOf(TINY_FOLDER), { clock });
    try {
      await use(engine);
    } finally {
      engine.kill('crashed');
      await engine.ended;
    }
  }

  it('finishes the run in hand when it is closed, and leaves no process', async () => {
    await withEngine(async (engine) => {
      expect(enginePids()).toContain(engine.pid);
      const run = engine.run(batchOf(10), LOGITS);
      await engine.close({ graceMs: 60_000 });
      expect((await run).windows[0]?.rows).toBe(62);
      expect(isAlive(engine.pid)).toBe(false);
      await expect(engine.run(batchOf(1), LOGITS)).rejects.toMatchObject({
        name: 'EngineLostError',
      });
    });
  });

  const onLinux = it.skipIf(process.platform !== 'linux');

  onLinux('is killed at once in the middle of a run', async () => {
    await withEngine(async (engine) => {
      const run = engine.run(batchOf(LONG_SECONDS), ALL);
      const failed = expect(run).rejects.toMatchObject({ reason: 'crashed' });
      await untilRunning(engine);
      process.kill(engine.pid, 'SIGKILL');
      await failed;
      expect((await engine.ended).message).toContain('SIGKILL');
      expect(isAlive(engine.pid)).toBe(false);
    });
  });

  onLinux('is ended when a run takes too long', async () => {
    const clock = new ManualClock();
    await withEngine(async (engine) => {
      const run = engine.run(batchOf(LONG_SECONDS), { ...ALL, timeoutMs: 5000 });
      const failed = expect(run).rejects.toMatchObject({ reason: 'timeout' });
      await untilRunning(engine);
      expect(clock.pendingMs).toEqual([5000]);
      clock.advance(5000);
      await failed;
    }, clock);
    expect(clock.pendingMs).toEqual([]);
  });

  onLinux('is ended in mid-run when the grace is over', async () => {
    const clock = new ManualClock();
    await withEngine(async (engine) => {
      const run = engine.run(batchOf(LONG_SECONDS), ALL);
      const failed = expect(run).rejects.toMatchObject({ name: 'EngineLostError' });
      await untilRunning(engine);
      const closed = engine.close({ graceMs: 1000 });
      clock.advance(1000);
      await closed;
      await failed;
    }, clock);
  });

  it('ends when its parent is gone', async () => {
    const spec = JSON.stringify(await engineSpecOf(TINY_FOLDER));
    const parent = fork(new URL('./engine-parent.ts', import.meta.url), [spec]);
    const [pid] = await once(parent, 'message');
    expect(enginePids(parent.pid)).toEqual([pid]);
    parent.kill('SIGKILL');
    await once(parent, 'close');
    await until(() => !isAlive(pid));
  });
});

describe('startEngine', () => {
  it('leaves no process when it fails or is called off', async () => {
    const [spec, card] = [await engineSpecOf(TINY_FOLDER), await tinyCard()];
    await expect(
      startEngine({ ...spec, graphs: graphSpecs({ ...card, labels: [] }, 'fp32') }),
    ).rejects.toMatchObject({
      name: 'EngineStartError',
      message: expect.stringContaining('clip_logits'),
    });
    const abort = new AbortController();
    const started = startEngine(spec, { signal: abort.signal });
    abort.abort();
    await expect(started).rejects.toThrow('The engine ended');
    expect(enginePids()).toEqual([]);
  });
});
