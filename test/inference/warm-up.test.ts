import { describe, expect, it } from 'vitest';
import { bucketedPlan, lonePlan } from '../../src/inference/batch-plan.js';
import { Reference, type WarmUpOptions, warmUp } from '../../src/inference/warm-up.js';
import { ManualClock } from './manual-clock.js';
import { ScriptedEngine, settle } from './scripted-engine.js';

const optionsOf = (options: Partial<WarmUpOptions> = {}): WarmUpOptions => ({
  plan: lonePlan,
  shapes: [],
  referenceSamples: 160_000,
  sampleRate: 16_000,
  minSamples: 2800,
  reference: new Reference(),
  clock: new ManualClock(),
  ...options,
});

describe('warmUp', () => {
  it('runs the reference sound, which leaves no second silent, and measures it', async () => {
    const engine = new ScriptedEngine();
    const result = warmUp(engine, optionsOf());
    engine.finish();
    expect(await result).toEqual({ warmupMs: 0, msPerAudioSecond: 10 });
    const waveform = engine.runs[0]?.batch.waveform ?? new Float32Array();
    expect(waveform).toHaveLength(160_000);
    for (let second = 0; second < 10; second++) {
      const piece = waveform.subarray(second * 16_000, (second + 1) * 16_000);
      expect(piece.reduce((sum, x) => sum + x * x, 0) / 16_000).toBeGreaterThan(0.01);
      expect(piece.every((x) => Math.abs(x) <= 1)).toBe(true);
    }
  });

  it('runs every fixed shape, most costly first, and then the reference sound in its own', async () => {
    const plan = bucketedPlan({ sizes: [1, 4], lengthsSamples: [32_000, 160_000] });
    const engine = new ScriptedEngine();
    const result = warmUp(engine, optionsOf({ plan, shapes: plan.shapes }));
    for (let run = 0; run < 5; run++) {
      await settle();
      engine.finish();
    }
    await result;
    expect(engine.runs.map(({ batch }) => [batch.size, batch.samples])).toEqual([
      [4, 160_000],
      [1, 160_000],
      [4, 32_000],
      [1, 32_000],
      [1, 160_000],
    ]);
  });

  it('refuses an engine whose numbers are not finite', async () => {
    const engine = new ScriptedEngine();
    const result = warmUp(engine, optionsOf());
    engine.finish({ nonfinite: [0] });
    await expect(result).rejects.toThrow('expected finite numbers');
  });
});

describe('Reference', () => {
  it('lets pass what differs by rounding and refuses what is another number', () => {
    const reference = new Reference();
    reference.assertSame(Float32Array.of(1, -5, 0));
    reference.assertSame(Float32Array.of(1.001, -5.001, 0.001));
    expect(() => reference.assertSame(Float32Array.of(1, -5.2, 0))).toThrow(
      'logit 1 of the reference sound, expected -5',
    );
    expect(() => reference.assertSame(Float32Array.of(1, Number.NaN, 0))).toThrow('NaN');
    expect(() => reference.assertSame(Float32Array.of(1))).toThrow('logit 1');
  });
});
