import { describe, expect, it } from 'vitest';
import { bucketedPlan, lonePlan } from '../../src/inference/batch-plan.js';
import { Reference, type WarmUpOptions, warmUp } from '../../src/inference/warm-up.js';
import { ManualClock } from './manual-clock.js';
import { ScriptedEngine, settle } from './scripted-engine.js';

const optionsOf = (options: Partial<WarmUpOptions> = {}): WarmUpOptions => ({
  graphs: ['encoder'],
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

  it('runs both graphs of a model with a tokenizer and goes by the slower', async () => {
    const plan = bucketedPlan({ sizes: [1], lengthsSamples: [160_000] });
    const engine = new ScriptedEngine();
    const graphs = ['encoder', 'tokenizer'] as const;
    const result = warmUp(engine, optionsOf({ graphs, plan, shapes: plan.shapes }));
    for (let run = 0; run < 4; run++) {
      await settle();
      engine.finish();
    }
    expect(await result).toMatchObject({ msPerAudioSecond: 10 });
    const encoder = ['clip_logits', 'clip_embedding'];
    expect(engine.runs.map(({ outputs }) => outputs)).toEqual([
      encoder,
      encoder,
      ['tokens'],
      ['tokens'],
    ]);
  });
});

describe('Reference', () => {
  it('lets a few tokens be others, and refuses many', () => {
    const reference = new Reference();
    const tokens = Int16Array.from({ length: 496 }, (_, i) => i % 64);
    reference.assertSame('tokens', tokens);
    const others = (count: number) => tokens.map((token, i) => (i < count ? 63 - token : token));
    reference.assertSame('tokens', others(9));
    expect(() => reference.assertSame('tokens', others(10))).toThrow('10 of 496 tokens');
  });

  it('lets pass what differs by rounding and refuses what is another number', () => {
    const reference = new Reference();
    const assertSame = (...logits: number[]) =>
      reference.assertSame('clip_logits', Float32Array.of(...logits));
    assertSame(1, -5, 0);
    assertSame(1.001, -5.001, 0.001);
    expect(() => assertSame(1, -5.2, 0)).toThrow(
      'clip_logits 1 of the reference sound, expected -5',
    );
    expect(() => assertSame(1, Number.NaN, 0)).toThrow('NaN');
    expect(() => assertSame(1)).toThrow('clip_logits 1');
  });

  it('holds the embedding of a model without labels', () => {
    const reference = new Reference();
    reference.assertSame('clip_logits', new Float32Array());
    reference.assertSame('clip_embedding', Float32Array.of(0.5));
    expect(() => reference.assertSame('clip_embedding', Float32Array.of(0.6))).toThrow('0.6');
  });
});
