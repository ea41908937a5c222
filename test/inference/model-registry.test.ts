import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Window } from '../../src/audio/window.js';
import { ENCODER_OUTPUTS, type WindowOutput } from '../../src/inference/batch.js';
import type { Model, ModelRegistry } from '../../src/inference/model-registry.js';
import { type InferenceObserver, silentObserver } from '../../src/inference/observer.js';
import {
  cpuMs,
  enginePids,
  largestDifference,
  recordingLog,
  startTiny,
  TinyCopy,
  until,
  windowOf,
} from './tiny-model.js';

const ALL = { outputs: ENCODER_OUTPUTS };
// From one row to the longest window, whole rows and not.
const LENGTHS_SECONDS = [0.175, 0.2, 0.33, 0.34, 1, 2, 3.7, 5.99, 6, 9.9, 10];
const WINDOWS = LENGTHS_SECONDS.map((seconds, i) => windowOf(seconds, i + 1));

async function oneByOne(model: Model, windows: readonly Window[]) {
  const outputs = [];
  for (const window of windows) outputs.push(...(await model.run([window], ALL)));
  return outputs;
}

/** Over all windows and all outputs; NaN where the sizes differ. */
function largestDifferences(a: readonly WindowOutput[], b: readonly WindowOutput[]): number {
  const differences = a.flatMap(({ rows, values }, i) => {
    const other = b[i];
    if (rows !== other?.rows) return [Number.NaN];
    return ENCODER_OUTPUTS.map((name) => largestDifference(values[name], other.values[name]));
  });
  return a.length === b.length ? Math.max(...differences) : Number.NaN;
}

function watching(): { observer: InferenceObserver; heard: Record<string, object[]> } {
  const heard: Record<string, object[]> = {};
  const note = (name: string) => (event: object) => {
    heard[name] = [...(heard[name] ?? []), event];
  };
  const names = Object.keys(silentObserver) as (keyof InferenceObserver)[];
  const observer = Object.fromEntries(names.map((name) => [name, note(name)]));
  return { observer: observer as never, heard };
}

describe('a model with two engines', () => {
  const { observer, heard } = watching();
  let registry: ModelRegistry;
  let model: Model;
  beforeAll(async () => {
    registry = await startTiny({ engines: 2, observer });
    model = registry.get();
  });
  afterAll(() => registry.close());

  it('is ready, with what was asked for', () => {
    expect(registry.ready()).toBe(true);
    expect(registry.defaultName).toBe('tiny');
    expect(registry.list()).toEqual([model]);
    expect(model).toMatchObject({ engines: 2, queueMaxWindows: 16 });
    expect(model.precision).toMatchObject({ active: 'fp32', declined: 'int8', reason: 'no_graph' });
    expect(model.provider).toEqual({ requested: 'cpu', active: 'cpu' });
    expect(enginePids()).toHaveLength(2);
    expect(heard.modelLoaded).toMatchObject([{ model: 'tiny', engines: 2, queueLimitWindows: 16 }]);
  });

  it('names the models it has when asked for another', () => {
    expect(() => registry.get('huge')).toThrow(/Expected one of tiny, got huge/);
  });

  it('gives outputs of the promised sizes, finite and different for different sounds', async () => {
    const outputs = await model.run(WINDOWS, ALL);
    for (const [i, { rows, values }] of outputs.entries()) {
      expect(rows).toBe(
        Math.floor((1 + Math.floor((WINDOWS[i]!.samples.length - 400) / 160)) / 16),
      );
      expect(values.clip_logits).toHaveLength(527);
      expect(values.clip_embedding).toHaveLength(32);
      expect(values.row_logits).toHaveLength(rows * 527);
      expect(values.row_embeddings).toHaveLength(rows * 32);
      for (const array of Object.values(values)) expect(array.every(Number.isFinite)).toBe(true);
    }
    const [a, b] = outputs;
    expect(largestDifference(a?.values.clip_logits, b?.values.clip_logits)).toBeGreaterThan(0.01);
  });

  it('gives as clip logits the mean of the row logits', async () => {
    for (const { rows, values } of await model.run(WINDOWS, ALL)) {
      const mean = new Float32Array(527);
      values.row_logits?.forEach((logit, i) => {
        mean[i % 527]! += logit / rows;
      });
      expect(largestDifference(values.clip_logits, mean)).toBeLessThan(1e-4);
    }
  });

  it('gives the same numbers whichever engine runs, alone or at once', async () => {
    const before = heard.batchDone?.length ?? 0;
    const [alone, together, again] = [
      await oneByOne(model, WINDOWS),
      await model.run(WINDOWS, ALL),
      (await Promise.all(WINDOWS.map((window) => model.run([window], ALL)))).flat(),
    ];
    expect(largestDifferences(together, alone)).toBe(0);
    expect(largestDifferences(again, alone)).toBe(0);
    const engines = heard.batchDone
      ?.slice(before)
      .map((event) => (event as { engine: number }).engine);
    expect(new Set(engines)).toEqual(new Set([0, 1]));
  });

  it('runs every window alone and at its true length, nothing of it padded', async () => {
    const before = heard.batchDone?.length ?? 0;
    await model.run(WINDOWS, ALL);
    const runs = heard.batchDone?.slice(before) as { audioSeconds: number; bucket: string }[];
    expect(runs.map(({ audioSeconds }) => audioSeconds).toSorted((a, b) => a - b)).toEqual(
      LENGTHS_SECONDS,
    );
    for (const run of runs) {
      expect(run).toMatchObject({
        bucket: 'lone',
        windows: 1,
        paddedSeconds: 0,
        firstShape: false,
      });
    }
  });

  it('runs 61 windows of one request on an idle machine', async () => {
    const windows = Array.from({ length: 61 }, (_, i) => windowOf(0.5, i + 1));
    const outputs = await model.run(windows, { outputs: ['clip_logits'] });
    expect(outputs).toHaveLength(61);
    const [last] = await model.run(windows.slice(-1), { outputs: ['clip_logits'] });
    expect(outputs[60]).toEqual(last);
  });

  it.skipIf(process.platform !== 'linux')(
    'answers rightly though an engine is killed in mid-run',
    async () => {
      const long = windowOf(60);
      const [expected] = await model.run([long], { outputs: ['clip_logits'] });
      const before = enginePids();
      const used = await Promise.all(before.map(cpuMs));
      const answer = model.run([long], { outputs: ['clip_logits'] });
      const runningPid = async () => {
        const now = await Promise.all(before.map(cpuMs));
        return before.find((_, i) => (now[i] ?? 0) > (used[i] ?? 0) + 100);
      };
      await until(async () => (await runningPid()) !== undefined);
      const killed = (await runningPid()) as number;
      process.kill(killed, 'SIGKILL');
      expect(await answer).toEqual([expected]);
      await until(() => enginePids().length === 2);
      expect(enginePids()).not.toContain(killed);
      expect(heard.engineRestarted).toEqual([{ model: 'tiny', reason: 'crashed' }]);
    },
  );
});

it('holds the queue to seconds of sound where that is asked for', async () => {
  for (const [queueMaxAudioSeconds, isFull] of [
    [undefined, false],
    [10, true],
  ] as const) {
    const registry = await startTiny({ engines: 1, queueMaxAudioSeconds });
    const model = registry.get();
    const work = model.run([windowOf(10), windowOf(10)], { outputs: ['clip_logits'] });
    if (isFull) expect(() => model.assertCanAdmit()).toThrow('10.0 of at most 10 seconds');
    else model.assertCanAdmit();
    await work;
    await registry.close();
  }
});

describe('a model on batches of fixed shapes', () => {
  it('gives each window of a mixed batch what it gives alone, to 1e-4', async () => {
    const { observer, heard } = watching();
    const registry = await startTiny({ batching: 'bucketed', observer });
    const lone = await startTiny();
    try {
      const expected = await oneByOne(lone.get(), WINDOWS);
      const outputs = await registry.get().run(WINDOWS, ALL);
      expect(largestDifferences(outputs, expected)).toBeLessThan(1e-4);
      const batches = heard.batchDone as { bucket: string; windows: number; firstShape: boolean }[];
      expect(batches.some(({ windows }) => windows > 1)).toBe(true);
      expect(batches.every(({ bucket }) => /^[14]x(2|6|10)$/.test(bucket))).toBe(true);
      // All shapes were run before the model was ready.
      expect(batches.some(({ firstShape }) => firstShape)).toBe(false);
    } finally {
      await Promise.all([registry.close(), lone.close()]);
    }
  });

  it('wants a bucket that holds a whole window', async () => {
    const start = startTiny({ batching: 'bucketed', batchLengthsSeconds: [2, 6] });
    await expect(start).rejects.toThrow('at least its window of 10 s, got 2, 6');
  });
});

describe('the execution provider', () => {
  // With the provider's files in place, what happens depends on the machine.
  const binding = dirname(createRequire(import.meta.url).resolve('onnxruntime-node'));
  const providerFile = '../bin/napi-v6/linux/x64/libonnxruntime_providers_shared.so';
  const withoutCuda = it.skipIf(existsSync(join(binding, providerFile)));

  withoutCuda('falls back to the CPU under auto, and says why, once', async () => {
    const log = recordingLog();
    const { observer, heard } = watching();
    const registry = await startTiny({ provider: 'auto', log, observer });
    const { provider } = registry.get();
    const [output] = await registry.get().run([windowOf(1)], { outputs: ['clip_logits'] });
    await registry.close();
    expect(provider).toMatchObject({ requested: 'auto', active: 'cpu' });
    expect(['lib_missing', 'unsupported_platform']).toContain(provider.reason);
    expect(log.lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        fields: { model: 'tiny', reason: provider.reason, detail: provider.detail },
        text: 'CUDA cannot be used, the model runs on CPU',
      },
    ]);
    expect(heard.providerFellBack).toEqual([{ model: 'tiny', reason: provider.reason }]);
    expect(output?.rows).toBe(6);
  });

  withoutCuda('refuses to start under cuda, with the line that names the cause', async () => {
    const before = enginePids();
    await expect(startTiny({ provider: 'cuda' })).rejects.toThrow(
      /Model tiny: CUDA was asked for and cannot be used \((lib_missing\): libonnxruntime_providers_shared\.so|unsupported_platform\): CUDA needs)/,
    );
    expect(enginePids()).toEqual(before);
  });

  it('is not asked for at all under cpu', async () => {
    const log = recordingLog();
    const registry = await startTiny({ log, warmup: false });
    await registry.close();
    expect(log.lines.map(({ level }) => level)).toEqual(['info']);
  });
});

describe('a start that fails', () => {
  it('names the graph whose bytes were changed', async () => {
    await using copy = await TinyCopy.create();
    const flip = (graph: Buffer) => graph.writeUInt8((graph.readUInt8(700_000) + 1) % 256, 700_000);
    await copy.editGraph(flip, { card: 'stays' });
    const start = startTiny({ modelsDir: copy.modelsDir, provider: 'auto', engines: 2 });
    await expect(start).rejects.toThrow(
      /Model tiny: .*encoder\.fp32\.onnx: expected \d+ bytes with sha256/,
    );
    expect(enginePids()).toEqual([]);
  });

  it('names a precision that the model does not have', async () => {
    await expect(startTiny({ precision: 'int8' })).rejects.toThrow(
      'Model tiny: expected an encoder graph in int8, it has fp32',
    );
  });

  it('names the choices when there are several models and none is chosen', async () => {
    await using copy = await TinyCopy.create();
    const other = join(copy.modelsDir, 'other');
    await cp(copy.folder, other, { recursive: true });
    const { modelsDir } = copy;
    await expect(startTiny({ modelsDir })).rejects.toThrow(/other also holds|tiny also holds/);
    await copy.editCard((card) => {
      card.name = 'second';
    });
    await expect(startTiny({ modelsDir })).rejects.toThrow(/MODEL: .*\(tiny, second\), got none/);
    await expect(startTiny({ modelsDir, model: 'third' })).rejects.toThrow(/got third/);
    const registry = await startTiny({ modelsDir, model: 'second', warmup: false });
    expect(registry.list().map(({ card }) => card.name)).toEqual(['tiny', 'second']);
    expect(registry.get().card.name).toBe('second');
    await registry.close();
    expect(enginePids()).toEqual([]);
  });

  it('says where it found no model', async () => {
    await using copy = await TinyCopy.create();
    const empty = join(copy.modelsDir, 'tiny', 'empty');
    await mkdir(empty);
    await writeFile(join(empty, 'readme.txt'), '');
    await expect(startTiny({ modelsDir: empty })).rejects.toThrow(
      /empty: expected a folder with a model\.json/,
    );
    await expect(startTiny({ modelsDir: join(empty, 'nowhere') })).rejects.toThrow(
      /nowhere: expected a folder of models.*ENOENT/,
    );
  });
});

describe('closing', () => {
  it('ends every engine, also one that was lost a moment ago', async () => {
    const registry = await startTiny({ engines: 2 });
    const pids = enginePids();
    process.kill(pids[0] as number, 'SIGKILL');
    await until(() => enginePids().length === 1 || !registry.ready());
    await registry.close();
    expect(enginePids()).toEqual([]);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    await expect(registry.get().run([windowOf(1)], ALL)).rejects.toMatchObject({
      code: 'draining',
    });
  });

  it('is not ready while the only engine is being replaced', async () => {
    const registry = await startTiny({ warmup: false });
    process.kill(enginePids()[0] as number, 'SIGKILL');
    await until(() => !registry.ready());
    await until(() => registry.ready());
    const [output] = await registry.get().run([windowOf(1)], { outputs: ['clip_logits'] });
    expect(output?.rows).toBe(6);
    await registry.close();
  });
});
