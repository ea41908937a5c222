import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { OUTPUT_NAMES, toBatch } from '../../src/inference/batch.js';
import type { EngineSpec } from '../../src/inference/engine-messages.js';
import { type Engine, startEngine } from '../../src/inference/engine-process.js';
import { loadModelCard } from '../../src/inference/model-card.js';
import { ManualClock } from './manual-clock.js';
import { cpuMs, enginePids, TINY_FOLDER, TinyCopy, until, windowOf } from './tiny-model.js';

const LIMITS = { timeoutMs: 60_000 };

async function specOf(folder: string): Promise<EngineSpec> {
  const card = await loadModelCard(folder);
  return {
    folder,
    graph: card.graphs.encoder.fp32,
    numLabels: card.labels.length,
    embeddingDim: card.embeddingDim,
    provider: 'cpu',
    deviceId: 0,
    intraOpThreads: 1,
  };
}

async function withEngine(
  use: (engine: Engine) => Promise<void>,
  clock?: ManualClock,
): Promise<void> {
  const engine = await startEngine(await specOf(TINY_FOLDER), clock ? { clock } : {});
  try {
    await use(engine);
  } finally {
    await engine.close({ graceMs: 0 });
  }
}

/** A run long enough to be met in its middle, and the moment when it is there. */
const longBatch = () => toBatch([windowOf(60)], { size: 1, samples: 60 * 16_000 }, 2800);
async function untilRunning(engine: Engine): Promise<void> {
  const before = await cpuMs(engine.pid);
  await until(async () => (await cpuMs(engine.pid)) > before + 100);
}

describe('an engine', () => {
  it('gives what the graph gives in this process, only what was asked for', async () => {
    const window = windowOf(3);
    const session = await InferenceSession.create(join(TINY_FOLDER, 'encoder.fp32.onnx'));
    const direct = await session.run({
      waveform: new Tensor('float32', window.samples, [1, window.samples.length]),
      num_samples: new Tensor('int64', BigInt64Array.of(BigInt(window.samples.length)), [1]),
    });
    await withEngine(async (engine) => {
      const batch = toBatch([window], { size: 1, samples: window.samples.length }, 2800);
      const all = await engine.run(batch, { outputs: OUTPUT_NAMES, ...LIMITS });
      expect(all.inferenceMs).toBeGreaterThan(0);
      for (const name of OUTPUT_NAMES) {
        expect(all.windows[0]?.values[name]).toEqual(direct[name]?.data);
      }
      const one = await engine.run(batch, { outputs: ['clip_embedding'], ...LIMITS });
      expect(Object.keys(one.windows[0]?.values ?? {})).toEqual(['clip_embedding']);
    });
    await session.release();
  });

  it('leaves no process behind when it is closed', async () => {
    let pid = 0;
    await withEngine(async (engine) => {
      pid = engine.pid;
      expect(enginePids()).toContain(pid);
    });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  it('finishes the run in hand before it closes', async () => {
    await withEngine(async (engine) => {
      const run = engine.run(longBatch(), { outputs: ['clip_logits'], ...LIMITS });
      await engine.close({ graceMs: 60_000 });
      expect((await run).windows[0]?.rows).toBe(374);
    });
  });

  it('survives Ctrl-C, which reaches the whole process group', async () => {
    await withEngine(async (engine) => {
      process.kill(engine.pid, 'SIGINT');
      const run = engine.run(longBatch(), { outputs: ['clip_logits'], ...LIMITS });
      await expect(run).resolves.toMatchObject({ windows: [{ finite: true }] });
    });
  });

  it.skipIf(process.platform !== 'linux')('is killed at once in the middle of a run', async () => {
    await withEngine(async (engine) => {
      const run = engine.run(longBatch(), { outputs: OUTPUT_NAMES, ...LIMITS });
      const failed = expect(run).rejects.toMatchObject({
        name: 'EngineLostError',
        reason: 'crashed',
      });
      await untilRunning(engine);
      process.kill(engine.pid, 'SIGKILL');
      await failed;
      expect((await engine.ended).message).toContain('SIGKILL');
      expect(() => process.kill(engine.pid, 0)).toThrow('ESRCH');
    });
  });

  it.skipIf(process.platform !== 'linux')('is ended when a run takes too long', async () => {
    const clock = new ManualClock();
    await withEngine(async (engine) => {
      const run = engine.run(longBatch(), { outputs: OUTPUT_NAMES, timeoutMs: 5000 });
      const failed = expect(run).rejects.toMatchObject({
        name: 'EngineLostError',
        reason: 'timeout',
      });
      await untilRunning(engine);
      expect(clock.pendingMs).toEqual([5000]);
      clock.advance(5000);
      await failed;
    }, clock);
    expect(clock.pendingMs).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')(
    'is ended in mid-run when the grace is over',
    async () => {
      const clock = new ManualClock();
      await withEngine(async (engine) => {
        const run = engine.run(longBatch(), { outputs: OUTPUT_NAMES, ...LIMITS });
        const failed = expect(run).rejects.toMatchObject({ name: 'EngineLostError' });
        await untilRunning(engine);
        const closed = engine.close({ graceMs: 1000 });
        clock.advance(1000);
        await closed;
        await failed;
      }, clock);
    },
  );

  it('refuses a second run at a time', async () => {
    await withEngine(async (engine) => {
      const first = engine.run(longBatch(), { outputs: ['clip_logits'], ...LIMITS });
      await expect(
        engine.run(longBatch(), { outputs: ['clip_logits'], ...LIMITS }),
      ).rejects.toThrow('one command at a time');
      await first;
    });
  });

  it('says that it is lost when it is asked after its end', async () => {
    await withEngine(async (engine) => {
      engine.kill('crashed');
      await engine.ended;
      const run = engine.run(longBatch(), { outputs: ['clip_logits'], ...LIMITS });
      await expect(run).rejects.toMatchObject({ name: 'EngineLostError' });
    });
  });

  it('ends when its parent is gone', async () => {
    const parent = fork(new URL('./engine-parent.ts', import.meta.url), [
      JSON.stringify(await specOf(TINY_FOLDER)),
    ]);
    const [pid] = await once(parent, 'message');
    expect(enginePids(parent.pid)).toEqual([pid]);
    parent.kill('SIGKILL');
    await once(parent, 'close');
    await until(() => !isAlive(pid));
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('startEngine', () => {
  it('refuses a graph of which one byte was changed, wherever it lies', async () => {
    for (const share of [0, 0.3, 0.7, 1]) {
      await using copy = await TinyCopy.create();
      const flip = (graph: Buffer) => {
        const position = Math.floor(share * (graph.length - 1));
        graph[position] = (graph[position] ?? 0) ^ 1;
      };
      await copy.editGraph(flip, { card: 'stays' });
      await expect(startEngine(await specOf(copy.folder))).rejects.toThrow(
        /encoder\.fp32\.onnx: expected \d+ bytes with sha256 [0-9a-f]{64}, got \d+ with [0-9a-f]{64}/,
      );
    }
  });

  it('opens a changed graph when the card knows the change', async () => {
    // The control of the test above: nobody reads the name of the graph's maker.
    await using copy = await TinyCopy.create();
    const rename = (graph: Buffer) => {
      graph.write('EARSHOT', graph.indexOf('earshot'));
    };
    await copy.editGraph(rename, { card: 'follows' });
    const engine = await startEngine(await specOf(copy.folder));
    await engine.close({ graceMs: 1000 });
  });

  it('refuses a file of weights that is not the one of the card', async () => {
    await using copy = await TinyCopy.create();
    await writeFile(join(copy.folder, 'weights.bin'), 'abc');
    const externalData = { file: 'weights.bin', bytes: 3, sha256: '0'.repeat(64) };
    await copy.editCard(({ graphs }) => {
      graphs.encoder.fp32.external_data = externalData;
    });
    await expect(startEngine(await specOf(copy.folder))).rejects.toThrow(
      /weights\.bin: expected 3 bytes with sha256 0{64}/,
    );
  });

  it('refuses a graph with another output', async () => {
    await using copy = await TinyCopy.create();
    const rename = (graph: Buffer) => {
      for (let at = graph.indexOf('clip_logits'); at >= 0; at = graph.indexOf('clip_logits')) {
        graph.write('clip_nonsen', at);
      }
    };
    await copy.editGraph(rename, { card: 'follows' });
    await expect(startEngine(await specOf(copy.folder))).rejects.toThrow(
      /expected the outputs clip_embedding, clip_logits, row_embeddings, row_logits, got .*clip_nonsen/,
    );
  });

  it('refuses a graph with another number of labels or another embedding', async () => {
    const spec = await specOf(TINY_FOLDER);
    await expect(startEngine({ ...spec, numLabels: 526 })).rejects.toThrow(
      /clip_logits to be float32 of rank 2 and width 526, got float32 \[\w+, 527\]/,
    );
    await expect(startEngine({ ...spec, embeddingDim: 768 })).rejects.toThrow(
      /clip_embedding to be .* width 768, got .*32\]/,
    );
  });

  it('leaves no process when it fails or is called off', async () => {
    const before = enginePids();
    const spec = await specOf(TINY_FOLDER);
    await expect(startEngine({ ...spec, numLabels: 1 })).rejects.toThrow('clip_logits');
    const abort = new AbortController();
    const started = startEngine(spec, { signal: abort.signal });
    abort.abort();
    await expect(started).rejects.toThrow('The engine ended');
    expect(enginePids()).toEqual(before);
  });
});
