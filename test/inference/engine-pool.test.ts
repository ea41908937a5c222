import { describe, expect, it } from 'vitest';
import { EnginePool, restartDelayMs } from '../../src/inference/engine-pool.js';
import type { Engine } from '../../src/inference/engine-process.js';
import { ManualClock } from './manual-clock.js';
import { ScriptedEngine, settle } from './scripted-engine.js';

/** A pool whose starts succeed or fail as told, and what it said. */
async function poolOf(places: number) {
  const clock = new ManualClock();
  const engines: ScriptedEngine[] = [];
  const heard: string[] = [];
  const control = { failing: false };
  const start = async () => {
    if (control.failing) throw new Error('no memory');
    const engine = new ScriptedEngine();
    engines.push(engine);
    return engine;
  };
  const selfTest = async (engine: Engine) => {
    heard.push(`tests ${engines.indexOf(engine as ScriptedEngine)}`);
    await engine.run({} as never, { outputs: [], timeoutMs: 1 });
  };
  const pool = await EnginePool.start({ starts: Array(places).fill(start), selfTest, clock });
  pool.listen({
    up: () => heard.push('up'),
    down: () => heard.push('down'),
    lost: (engine, { reason }) => heard.push(`lost ${engine} ${reason}`),
    selfTestFailed: (engine, { message }) => heard.push(`wrong ${engine} ${message}`),
    startFailed: (engine, { message }, retryInMs) =>
      heard.push(`failed ${engine} ${message} ${retryInMs}`),
  });
  return { pool, clock, engines, heard, control };
}

const run = (pool: EnginePool) => pool.run({} as never, { outputs: [], timeoutMs: 1 });

const notFinite = { windows: [{ rows: 1, values: {}, finite: false }], inferenceMs: 1 };

const untested = async () => {};

describe('restartDelayMs', () => {
  it('is nothing at first, doubles after each further failure and stays bounded', () => {
    expect([1, 2, 3, 4].map(restartDelayMs)).toEqual([0, 250, 500, 1000]);
    expect(restartDelayMs(100)).toBe(30_000);
  });
});

describe('EnginePool', () => {
  it('gives each engine one batch at a time', async () => {
    const { pool, engines, heard } = await poolOf(2);
    const work = [run(pool), run(pool)];
    expect(engines.map(({ runs }) => runs.length)).toEqual([1, 1]);
    expect(pool.hasIdle).toBe(false);
    await expect(run(pool)).rejects.toThrow('Expected an idle engine');
    for (const engine of engines) engine.runs[0]?.resolve({ windows: [], inferenceMs: 1 });
    expect((await Promise.all(work)).map(({ engine }) => engine)).toEqual([0, 1]);
    expect(pool.hasIdle).toBe(true);
    expect(heard).toEqual([]);
  });

  it('replaces an engine that is lost while idle, at once', async () => {
    const { pool, clock, engines, heard } = await poolOf(1);
    engines[0]?.kill('crashed');
    await settle();
    expect(heard).toEqual(['lost 0 crashed']);
    expect(pool).toMatchObject({ numLive: 0, isDown: false, hasIdle: false });
    clock.advance(0);
    await settle();
    expect(heard.at(-1)).toBe('up');
    expect(pool).toMatchObject({ numLive: 1, hasIdle: true, size: 1 });
  });

  it('replaces an engine whose run failed, and uses it for nothing meanwhile', async () => {
    const { pool, clock, engines } = await poolOf(1);
    const work = run(pool);
    engines[0]?.refuse(new Error('bad input'));
    await expect(work).rejects.toThrow('bad input');
    expect(pool.hasIdle).toBe(false);
    await settle();
    clock.advance(0);
    await settle();
    expect(engines).toHaveLength(2);
    expect(pool.hasIdle).toBe(true);
  });

  it('gives what is not finite back, and trusts its engine, only after the self-test', async () => {
    const { pool, engines, heard } = await poolOf(1);
    const work = run(pool);
    engines[0]?.runs[0]?.resolve(notFinite);
    await settle();
    expect(heard).toEqual(['tests 0']);
    expect(pool).toMatchObject({ numLive: 0, hasIdle: false, isDown: false });
    engines[0]?.runs[1]?.resolve({ windows: [], inferenceMs: 1 });
    expect((await work).output).toBe(notFinite);
    expect(pool).toMatchObject({ numLive: 1, hasIdle: true });
  });

  it('replaces an engine that fails its self-test, and loses its batch with it', async () => {
    const { pool, clock, engines, heard } = await poolOf(1);
    const work = run(pool);
    engines[0]?.runs[0]?.resolve(notFinite);
    await settle();
    engines[0]?.refuse(new Error('another number'));
    await expect(work).rejects.toThrow('another number');
    await settle();
    expect(heard).toEqual(['tests 0', 'wrong 0 another number', 'lost 0 self_test_failed']);
    expect(pool).toMatchObject({ numLive: 0, hasIdle: false });
    clock.advance(0);
    await settle();
    expect(heard.at(-1)).toBe('up');
    expect(pool).toMatchObject({ numLive: 1, hasIdle: true });
  });

  it('replaces an engine that is lost in its self-test, once', async () => {
    const { pool, clock, engines, heard } = await poolOf(1);
    const work = run(pool);
    engines[0]?.runs[0]?.resolve(notFinite);
    await settle();
    engines[0]?.kill('crashed');
    await expect(work).rejects.toThrow('lost (crashed)');
    clock.advance(0);
    await settle();
    expect(engines).toHaveLength(2);
    expect(heard.filter((line) => line.startsWith('lost'))).toEqual(['lost 0 crashed']);
    expect(pool).toMatchObject({ numLive: 1, hasIdle: true });
  });

  it('spaces out the restarts of an engine that never gets through a run, and forgets after one', async () => {
    const { pool, clock, engines } = await poolOf(1);
    const delays: (number | undefined)[] = [];
    const lose = async () => {
      engines.at(-1)?.kill('crashed');
      await settle();
      delays.push(clock.pendingMs[0]);
      clock.advance(clock.pendingMs[0] ?? 0);
      await settle();
    };
    await lose();
    await lose();
    await lose();
    const work = run(pool);
    engines.at(-1)?.runs[0]?.resolve({ windows: [], inferenceMs: 1 });
    await work;
    await lose();
    expect(delays).toEqual([0, 250, 500, 0]);
  });

  it('is down when no engine lives and none starts, until one does', async () => {
    const { pool, clock, engines, heard, control } = await poolOf(2);
    control.failing = true;
    engines[0]?.kill('crashed');
    await settle();
    clock.advance(0);
    await settle();
    expect(heard.splice(0)).toEqual(['lost 0 crashed', 'failed 0 no memory 250']);
    expect(pool.isDown).toBe(false);
    engines[1]?.kill('crashed');
    await settle();
    clock.advance(0);
    await settle();
    expect(heard.splice(0)).toEqual(['lost 1 crashed', 'failed 1 no memory 250', 'down']);
    expect(pool.isDown).toBe(true);
    control.failing = false;
    clock.advance(250);
    await settle();
    expect(pool).toMatchObject({ isDown: false, numLive: 2 });
    expect(heard).toEqual(['up', 'up']);
  });

  it('starts nothing more once it is closed', async () => {
    const { pool, clock, engines } = await poolOf(1);
    engines[0]?.kill('crashed');
    await settle();
    await pool.close({ graceMs: 0 });
    expect(clock.pendingMs).toEqual([]);
    expect(engines).toHaveLength(1);
  });

  it('leaves no engine when one of several cannot start', async () => {
    const good = new ScriptedEngine();
    const starts = [async () => good, () => Promise.reject(new Error('no device'))];
    await expect(
      EnginePool.start({ starts, selfTest: untested, clock: new ManualClock() }),
    ).rejects.toThrow('no device');
    await expect(good.ended).resolves.toBeDefined();
  });

  it('calls off the starts that are under way when one of them fails', async () => {
    const called: string[] = [];
    const slow = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => {
          called.push('off');
          reject(signal.reason);
        });
      });
    const starts = [slow, () => Promise.reject(new Error('no device'))];
    await expect(
      EnginePool.start({ starts, selfTest: untested, clock: new ManualClock() }),
    ).rejects.toThrow('no device');
    expect(called).toEqual(['off']);
  });
});
