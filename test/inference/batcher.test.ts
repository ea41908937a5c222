import { describe, expect, it } from 'vitest';
import type { Window } from '../../src/audio/window.js';
import { ServiceError } from '../../src/errors.js';
import { bucketedPlan, lonePlan } from '../../src/inference/batch-plan.js';
import { Batcher, type BatcherOptions } from '../../src/inference/batcher.js';
import { EnginePool } from '../../src/inference/engine-pool.js';
import { EngineRunError } from '../../src/inference/engine-process.js';
import { RunMeter } from '../../src/inference/run-meter.js';
import { ManualClock } from './manual-clock.js';
import { ScriptedEngine, settle } from './scripted-engine.js';

const OUTPUTS = { outputs: ['clip_logits'] } as const;

/** A window that can be told from others: its first sample, which is the scripted engine's answer. */
function marked(mark: number, seconds = 1): Window {
  const samples = new Float32Array(seconds * 16_000);
  samples[0] = mark;
  return { samples };
}

const marks = (values: readonly { values: { clip_logits?: Float32Array } }[]) =>
  values.map((output) => output.values.clip_logits?.[0]);

async function batcherOf({
  engines: places = 1,
  ...options
}: Partial<BatcherOptions> & { engines?: number } = {}) {
  const clock = new ManualClock();
  const engines: ScriptedEngine[] = [];
  const control = { failing: false, isPoisoned: false };
  const start = async () => {
    if (control.failing) throw new Error('no memory');
    engines.push(new ScriptedEngine());
    return engines.at(-1) as ScriptedEngine;
  };
  const pool = await EnginePool.start({
    starts: Array(places).fill(start),
    selfTest: async () => {
      if (control.isPoisoned) throw new Error('another number');
    },
    clock,
  });
  const plan = options.plan ?? lonePlan;
  const heard = { batches: [] as object[], queue: [] as [number, number][], nonfinite: 0 };
  const batcher = new Batcher({
    pool,
    plan,
    clock,
    minSamples: 2800,
    queueMaxWindows: 4,
    meter: new RunMeter({
      sampleRate: 16_000,
      msPerAudioSecond: 1500,
      engineRunTimeoutMs: undefined,
      warmedShapes: [{ size: 1, samples: 16_000 }],
      graphs: ['encoder', 'tokenizer'],
      hasFixedShapes: plan !== lonePlan,
    }),
    listener: {
      batchDone: (event) => heard.batches.push(event),
      queueChanged: ({ windows, audioSeconds }) => heard.queue.push([windows, audioSeconds]),
      nonfiniteWindows: (windows) => {
        heard.nonfinite += windows;
      },
    },
    ...options,
  });
  pool.listen({
    up: () => batcher.dispatch(),
    down: () => batcher.failAll(),
    lost() {},
    selfTestFailed() {},
    startFailed() {},
  });
  /** Marks of the windows of each run so far, engine by engine. */
  const order = () =>
    engines.flatMap(({ runs }) =>
      runs.map(({ batch }) =>
        Array.from({ length: batch.numWindows }, (_, i) => batch.waveform[i * batch.samples]),
      ),
    );
  const finishAll = async () => {
    for (await settle(); engines.some(({ isBusy }) => isBusy); await settle()) {
      for (const engine of engines) if (engine.isBusy) engine.finish();
    }
  };
  const restart = async () => {
    await settle();
    clock.advance(clock.pendingMs[0] ?? 0);
    await settle();
  };
  return { batcher, pool, engines, clock, heard, control, order, finishAll, restart };
}

describe('Batcher with lone windows', () => {
  it('gives the outputs of a request in the order of its windows', async () => {
    const { batcher, engines, finishAll } = await batcherOf({ engines: 2 });
    const results = batcher.run([marked(1), marked(2), marked(3)], OUTPUTS);
    await settle();
    engines[1]?.finish();
    await finishAll();
    expect(marks(await results)).toEqual([1, 2, 3]);
  });

  it('runs each window in its true length', async () => {
    const { batcher, engines, finishAll } = await batcherOf();
    const results = batcher.run([marked(1, 2), marked(2, 0.5)], OUTPUTS);
    await finishAll();
    await results;
    expect(engines[0]?.runs.map(({ batch }) => batch.waveform.length)).toEqual([32_000, 8000]);
  });

  it('lets requests take turns, window by window', async () => {
    const { batcher, order, finishAll } = await batcherOf();
    const requests = [
      batcher.run([marked(11), marked(12), marked(13), marked(14)], OUTPUTS),
      batcher.run([marked(21), marked(22)], OUTPUTS),
      batcher.run([marked(31)], OUTPUTS),
    ];
    await finishAll();
    await Promise.all(requests);
    expect(order().flat()).toEqual([11, 12, 21, 31, 13, 22, 14]);
  });

  it('serves a request far longer than the queue, whose limit counts one share of it', async () => {
    const { batcher, finishAll, heard } = await batcherOf({ engines: 2, queueMaxWindows: 4 });
    const long = batcher.run(
      Array.from({ length: 61 }, (_, i) => marked(i)),
      OUTPUTS,
    );
    expect(batcher.queuedWindows).toBe(2);
    const short = batcher.run([marked(100), marked(101)], OUTPUTS);
    expect(batcher.queuedWindows).toBe(4);
    expect(heard.queue.at(-1)).toEqual([4, 61]);
    await finishAll();
    expect(marks(await long)).toEqual(Array.from({ length: 61 }, (_, i) => i));
    expect(marks(await short)).toEqual([100, 101]);
    expect(heard.queue.at(-1)).toEqual([0, 0]);
  });

  it.each([
    [undefined, false],
    [3, false],
    [2, true],
  ])(
    'counts the seconds that wait, too: with a limit of %s, refuses at 2: %s',
    async (queueMaxAudioSeconds, isFull) => {
      const { batcher, finishAll } = await batcherOf({ queueMaxAudioSeconds });
      const taken = [1, 2, 3].map((mark) => batcher.run([marked(mark)], OUTPUTS));
      const late = batcher.run([marked(4)], OUTPUTS);
      const refusal = {
        code: 'overloaded',
        extensions: { limits: { queue_max_audio_seconds: 2 } },
      };
      if (isFull) await expect(late).rejects.toMatchObject(refusal);
      await finishAll();
      if (!isFull) expect(marks(await late)).toEqual([4]);
      await Promise.all(taken);
    },
  );

  it('refuses at once what finds no place, says when to come again, and takes it when there is one', async () => {
    const { batcher, engines, finishAll } = await batcherOf({ queueMaxWindows: 2 });
    const taken = [1, 2, 3].map((mark) => batcher.run([marked(mark)], OUTPUTS));
    expect(() => batcher.assertCanAdmit()).toThrow(ServiceError);
    // 2 s of audio wait; the warm-up took 1.5 s per second of audio.
    await expect(batcher.run([marked(4)], OUTPUTS)).rejects.toMatchObject({
      code: 'overloaded',
      extensions: { retry_after_seconds: 3, limits: { queue_max_windows: 2 } },
    });
    engines[0]?.finish();
    await settle();
    const late = batcher.run([marked(5)], OUTPUTS);
    await finishAll();
    expect(marks((await Promise.all(taken)).flat())).toEqual([1, 2, 3]);
    expect(marks(await late)).toEqual([5]);
  });

  it('takes the windows of an aborted request out of the queue and drops the one that runs', async () => {
    const { batcher, order, finishAll } = await batcherOf();
    const abort = new AbortController();
    const gone = batcher.run([marked(1), marked(2), marked(3)], {
      ...OUTPUTS,
      signal: abort.signal,
    });
    const stays = batcher.run([marked(9)], OUTPUTS);
    const reason = new Error('the client left');
    abort.abort(reason);
    expect(batcher.queuedWindows).toBe(1);
    await expect(gone).rejects.toBe(reason);
    await finishAll();
    expect(marks(await stays)).toEqual([9]);
    expect(order().flat()).toEqual([1, 9]);
  });

  it('does not take in a request that is aborted already', async () => {
    const { batcher, order } = await batcherOf();
    await expect(
      batcher.run([marked(1)], { ...OUTPUTS, signal: AbortSignal.abort() }),
    ).rejects.toThrow();
    expect(order()).toEqual([]);
  });

  it('splits the time of a request between queue and engines', async () => {
    const { batcher, engines, clock } = await batcherOf();
    const first = batcher.run([marked(1)], OUTPUTS);
    let timings: object | undefined;
    const second = batcher.run([marked(2)], {
      ...OUTPUTS,
      onTimings: (split) => {
        timings = split;
      },
    });
    clock.advance(300);
    engines[0]?.finish();
    await settle();
    clock.advance(50);
    engines[0]?.finish();
    await Promise.all([first, second]);
    expect(timings).toEqual({ queueMs: 300, inferenceMs: 50 });
  });

  it('runs the windows of a stream as they come, and knows their time', async () => {
    const { batcher, engines, clock, order } = await batcherOf();
    const stream = batcher.open(OUTPUTS);
    const first = stream.run(marked(1));
    const second = stream.run(marked(2));
    clock.advance(100);
    engines[0]?.finish();
    await settle();
    clock.advance(20);
    engines[0]?.finish();
    expect(marks(await Promise.all([first, second]))).toEqual([1, 2]);
    clock.advance(5000); // the next window is being decoded: neither queue nor engine
    const third = stream.run(marked(3));
    clock.advance(7);
    engines[0]?.finish();
    expect(marks([await third])).toEqual([3]);
    expect(stream.timings()).toEqual({ queueMs: 0, inferenceMs: 127 });
    stream.close();
    expect(order().flat()).toEqual([1, 2, 3]);
  });

  it('keeps the place of a stream that was let in, and gives each stream its turn', async () => {
    const { batcher, order, finishAll } = await batcherOf({ queueMaxWindows: 2 });
    const [long, short] = [batcher.open(OUTPUTS), batcher.open(OUTPUTS)];
    const runs = [1, 2].map((mark) => long.run(marked(mark)));
    runs.push(short.run(marked(11)));
    await expect(batcher.open(OUTPUTS).run(marked(99))).rejects.toMatchObject({
      code: 'overloaded',
    });
    runs.push(long.run(marked(3)), short.run(marked(12)));
    await finishAll();
    expect(marks(await Promise.all(runs))).toEqual([1, 2, 11, 3, 12]);
    expect(order().flat()).toEqual([1, 2, 11, 3, 12]);
  });

  it('drops what a closed stream left, and rejects all of an aborted one', async () => {
    const { batcher, finishAll, order } = await batcherOf();
    const blocker = batcher.run([marked(0)], OUTPUTS);
    const [closed, aborted] = [new AbortController(), new AbortController()];
    const streams = [closed, aborted].map(({ signal }) => batcher.open({ ...OUTPUTS, signal }));
    const runs = streams.map((stream, index) => stream.run(marked(index + 1)));
    streams[0]?.close();
    const reason = new Error('enough');
    aborted.abort(reason);
    await expect(runs[0]).rejects.toThrow('closed');
    await expect(runs[1]).rejects.toBe(reason);
    await expect(streams[1]?.run(marked(3))).rejects.toBe(reason);
    await finishAll();
    await blocker;
    expect(order().flat()).toEqual([0]);
  });

  it('refuses windows that no graph takes', async () => {
    const { batcher } = await batcherOf();
    await expect(batcher.run([], OUTPUTS)).rejects.toThrow('at least one window');
    await expect(batcher.run([marked(1, 0.1)], OUTPUTS)).rejects.toThrow('2800');
  });

  it('fails only the request whose numbers are not finite', async () => {
    const { batcher, engines, heard, finishAll, order } = await batcherOf();
    const bad = batcher.run([marked(1), marked(2)], OUTPUTS);
    const good = batcher.run([marked(3)], OUTPUTS);
    const failed = expect(bad).rejects.toMatchObject({ code: 'inference_failed' });
    engines[0]?.finish({ nonfinite: [0] });
    await failed;
    await finishAll();
    expect(marks(await good)).toEqual([3]);
    expect(order().flat()).toEqual([1, 3]);
    expect(heard.nonfinite).toBe(1);
  });

  it('takes turns between clients, and between the requests of one', async () => {
    const { batcher, order, finishAll } = await batcherOf({ queueMaxWindows: 9 });
    const running = batcher.run([marked(0)], OUTPUTS);
    const run = (mark: number, client: string) =>
      batcher.run([marked(mark)], { ...OUTPUTS, client });
    const greedy = [1, 2, 3].map((mark) => run(mark, 'greedy'));
    const modest = [7, 8].map((mark) => run(mark, 'modest'));
    expect(['greedy', 'modest'].map((client) => batcher.queuedWindowsOf(client))).toEqual([3, 2]);
    await finishAll();
    await Promise.all([running, ...greedy, ...modest]);
    expect(order().flat()).toEqual([0, 1, 7, 2, 8, 3]);
  });

  it('keeps a place for a clip between its windows, one at most, until its last is made', async () => {
    const { batcher, finishAll } = await batcherOf({ queueMaxWindows: 2 });
    const stream = batcher.open({ ...OUTPUTS, client: 'long' });
    stream.setMaking(true);
    expect(batcher.queuedWindows).toBe(0);
    const first = stream.run(marked(1));
    expect(batcher.queuedWindows).toBe(0);
    stream.setMaking(true);
    expect([batcher.queuedWindows, batcher.queuedWindowsOf('long')]).toEqual([1, 1]);
    expect(batcher.queuedWindowsOf('other')).toBe(0);
    const second = stream.run(marked(2));
    expect(batcher.queuedWindows).toBe(1);
    stream.setMaking(false);
    await finishAll();
    await Promise.all([first, second]);
    expect(batcher.queuedWindows).toBe(0);
    stream.close();
  });

  it('lets no more clips in than there are places, however many windows they have', async () => {
    const { batcher, finishAll } = await batcherOf({ queueMaxWindows: 2 });
    const streams = [1, 2, 3].map((mark) => ({ mark, stream: batcher.open(OUTPUTS) }));
    const begin = async ({ mark, stream }: (typeof streams)[number]) => {
      const ran = stream.run(marked(mark));
      stream.setMaking(true);
      await Promise.all([ran, finishAll()]);
    };
    const [first, second, third] = streams as [
      (typeof streams)[0],
      (typeof streams)[0],
      (typeof streams)[0],
    ];
    await begin(first);
    await begin(second);
    await expect(begin(third)).rejects.toMatchObject({ code: 'overloaded' });
    first.stream.close();
    await begin(third);
    for (const { stream } of streams) stream.close();
    expect(batcher.queuedWindows).toBe(0);
  });

  it('ends a clip between its windows when no engine is left', async () => {
    const { batcher, finishAll } = await batcherOf();
    const stream = batcher.open(OUTPUTS);
    const ran = stream.run(marked(1));
    stream.setMaking(true);
    await finishAll();
    await ran;
    batcher.close();
    expect(batcher.queuedWindows).toBe(0);
    await expect(stream.run(marked(2))).rejects.toMatchObject({ code: 'draining' });
  });

  it('runs a window again that a poisoned engine gave no finite numbers for', async () => {
    const { batcher, engines, control, finishAll, restart } = await batcherOf();
    control.isPoisoned = true;
    const request = batcher.run([marked(1)], OUTPUTS);
    engines[0]?.finish({ nonfinite: [0] });
    await settle();
    await restart();
    await finishAll();
    expect(marks(await request)).toEqual([1]);
  });

  it('runs the window of a lost engine once more, before all others', async () => {
    const { batcher, engines, order, finishAll, restart } = await batcherOf();
    const first = batcher.run([marked(1)], OUTPUTS);
    const second = batcher.run([marked(2)], OUTPUTS);
    engines[0]?.kill('crashed');
    await restart();
    await finishAll();
    expect(marks([...(await first), ...(await second)])).toEqual([1, 2]);
    expect(order().flat()).toEqual([1, 1, 2]);
  });

  it('gives up on a window that ends two engines, and serves the others', async () => {
    const { batcher, engines, finishAll, restart } = await batcherOf();
    const poison = batcher.run([marked(1)], OUTPUTS);
    const failed = expect(poison).rejects.toMatchObject({ code: 'engine_unavailable' });
    const good = batcher.run([marked(2)], OUTPUTS);
    engines[0]?.kill('timeout');
    await restart();
    engines[1]?.kill('timeout');
    await failed;
    await restart();
    await finishAll();
    expect(marks(await good)).toEqual([2]);
  });

  it('calls it a failure of the model when its session refuses a window twice', async () => {
    const { batcher, engines, restart } = await batcherOf();
    const run = batcher.run([marked(1)], OUTPUTS);
    const failed = expect(run).rejects.toMatchObject({ code: 'inference_failed' });
    engines[0]?.refuse(new EngineRunError('bad node'));
    await restart();
    engines[1]?.refuse(new EngineRunError('bad node'));
    await failed;
  });

  it('refuses everything while no engine can be started', async () => {
    const { batcher, engines, control, restart } = await batcherOf();
    const waiting = batcher.run([marked(1)], OUTPUTS);
    const failed = expect(waiting).rejects.toMatchObject({ code: 'engine_unavailable' });
    control.failing = true;
    engines[0]?.kill('crashed');
    await restart();
    await failed;
    await expect(batcher.run([marked(2)], OUTPUTS)).rejects.toMatchObject({
      code: 'engine_unavailable',
      extensions: { retry_after_seconds: 1 },
    });
    control.failing = false;
    await restart();
    expect(() => batcher.assertCanAdmit()).not.toThrow();
  });

  it('fails what waits when it is closed, and what an engine loses after that', async () => {
    const { batcher, engines, pool } = await batcherOf();
    const running = batcher.run([marked(1)], OUTPUTS);
    const waiting = batcher.run([marked(2)], OUTPUTS);
    const failed = [running, waiting].map((run) =>
      expect(run).rejects.toMatchObject({ code: 'draining' }),
    );
    batcher.close();
    await failed[1];
    await pool.close({ graceMs: 0 });
    await failed[0];
    await expect(batcher.run([marked(3)], OUTPUTS)).rejects.toMatchObject({ code: 'draining' });
    expect(engines).toHaveLength(1);
  });
});

describe('Batcher with batches of fixed shapes', () => {
  const plan = bucketedPlan({ sizes: [1, 2, 4], lengthsSamples: [16_000, 64_000, 160_000] });
  const shapes = (engines: ScriptedEngine[]) =>
    engines.flatMap(({ runs }) => runs.map(({ batch }) => [batch.size, batch.samples / 16_000]));

  it('fills the bucket of the oldest window with windows as long or shorter', async () => {
    const { batcher, engines, order, heard, finishAll } = await batcherOf({
      plan,
      queueMaxWindows: 16,
    });
    const requests = [marked(0, 1), marked(1, 3), marked(2, 8), marked(3, 0.5), marked(4, 4)].map(
      (window) => batcher.run([window], OUTPUTS),
    );
    await finishAll();
    expect(marks((await Promise.all(requests)).flat())).toEqual([0, 1, 2, 3, 4]);
    // The first found an idle engine; the oldest that waited took in what fits into 4 s.
    expect(order()).toEqual([[0], [1, 3, 4], [2]]);
    expect(shapes(engines)).toEqual([
      [1, 1],
      [4, 4],
      [1, 10],
    ]);
    expect(heard.batches).toMatchObject([
      { bucket: '1x1', windows: 1, audioSeconds: 1, paddedSeconds: 0, firstShape: false },
      { bucket: '4x4', windows: 3, audioSeconds: 7.5, paddedSeconds: 8.5, firstShape: true },
      { bucket: '1x10', windows: 1, audioSeconds: 8, paddedSeconds: 2, firstShape: true },
    ]);
  });

  it('asks once for what all need and hands each what it asked for', async () => {
    const { batcher, engines, finishAll } = await batcherOf({ plan, queueMaxWindows: 16 });
    const requests = [
      batcher.run([marked(0)], OUTPUTS),
      batcher.run([marked(1)], { outputs: ['clip_logits'] }),
      batcher.run([marked(2)], { outputs: ['clip_embedding'] }),
    ];
    await finishAll();
    const [, logits, embedding] = await Promise.all(requests);
    expect(engines[0]?.runs[1]?.outputs).toEqual(['clip_logits', 'clip_embedding']);
    expect(Object.keys(logits?.[0]?.values ?? {})).toEqual(['clip_logits']);
    expect(Object.keys(embedding?.[0]?.values ?? {})).toEqual(['clip_embedding']);
  });

  it('never mixes encoder and tokenizer in a batch, and keeps their turns', async () => {
    const { batcher, engines, order, finishAll } = await batcherOf({ plan, queueMaxWindows: 16 });
    const tokens = { outputs: ['tokens'] } as const;
    const requests = [0, 1, 2, 3, 4].map((mark) =>
      batcher.run([marked(mark)], mark % 2 === 0 ? OUTPUTS : tokens),
    );
    await finishAll();
    await Promise.all(requests);
    expect(order()).toEqual([[0], [1, 3], [2, 4]]);
    expect(engines[0]?.runs.map(({ outputs }) => outputs)).toEqual([
      ['clip_logits'],
      ['tokens'],
      ['clip_logits'],
    ]);
    const both = batcher.run([marked(5)], { outputs: ['tokens', 'clip_logits'] });
    await expect(both).rejects.toThrow('Expected outputs of one graph, got tokens, clip_logits');
  });

  it('runs the windows of a lost batch one by one, so that the poisonous one fails alone', async () => {
    const { batcher, engines, order, finishAll, restart } = await batcherOf({
      plan,
      queueMaxWindows: 16,
    });
    const blocker = batcher.run([marked(0)], OUTPUTS);
    const [good, poison, alsoGood] = [1, 2, 3].map((mark) => batcher.run([marked(mark)], OUTPUTS));
    const failed = expect(poison).rejects.toMatchObject({ code: 'engine_unavailable' });
    engines[0]?.finish();
    await settle();
    engines[0]?.kill('crashed');
    await restart();
    engines[1]?.finish();
    await settle();
    engines[1]?.kill('crashed');
    await failed;
    await restart();
    await finishAll();
    await blocker;
    expect(marks([...((await good) ?? []), ...((await alsoGood) ?? [])])).toEqual([1, 3]);
    expect(order()).toEqual([[0], [1, 2, 3], [1], [2], [3]]);
  });

  it('fails in a batch only the window whose numbers are not finite', async () => {
    const { batcher, engines, finishAll } = await batcherOf({ plan, queueMaxWindows: 16 });
    const requests = [0, 1, 2].map((mark) => batcher.run([marked(mark)], OUTPUTS));
    const failed = expect(requests[1]).rejects.toMatchObject({ code: 'inference_failed' });
    engines[0]?.finish();
    await settle();
    engines[0]?.finish({ nonfinite: [0] });
    await failed;
    await finishAll();
    expect(marks((await requests[2]) ?? [])).toEqual([2]);
  });

  it('refuses a window longer than the longest bucket', async () => {
    const { batcher } = await batcherOf({ plan });
    await expect(batcher.run([marked(1, 11)], OUTPUTS)).rejects.toThrow(
      'at most 160000, got 176000',
    );
  });
});
