import { describe, expect, it } from 'vitest';
import { toBatch } from '../../src/inference/batch.js';
import { RunMeter } from '../../src/inference/run-meter.js';
import { windowOf } from './tiny-model.js';

const meterOf = (options: Partial<ConstructorParameters<typeof RunMeter>[0]> = {}) =>
  new RunMeter({
    sampleRate: 16_000,
    msPerAudioSecond: 200,
    engineRunTimeoutMs: undefined,
    warmedShapes: [],
    graphs: ['encoder'],
    hasFixedShapes: false,
    ...options,
  });
const batch = toBatch([windowOf(1), windowOf(3)], { size: 4, samples: 64_000 }, 2800);

describe('RunMeter', () => {
  it('allows a run ten times what the warm-up took, never less than 10 s', () => {
    expect(meterOf().timeoutMs({ size: 1, samples: 160_000 })).toBe(20_000);
    expect(meterOf().timeoutMs({ size: 16, samples: 160_000 })).toBe(320_000);
    expect(meterOf().timeoutMs({ size: 1, samples: 16_000 })).toBe(10_000);
    expect(meterOf({ engineRunTimeoutMs: 77 }).timeoutMs(batch)).toBe(77);
  });

  it('tells audio from padding', () => {
    expect(meterOf().record(batch, 50, 'encoder')).toEqual({
      bucket: 'lone',
      windows: 2,
      audioSeconds: 4,
      paddedSeconds: 12,
      inferenceMs: 50,
      firstShape: false,
    });
  });

  it('notices a fixed shape that was not warmed, once', () => {
    const meter = meterOf({ hasFixedShapes: true, warmedShapes: [{ size: 1, samples: 16_000 }] });
    expect(meter.record(batch, 1, 'encoder')).toMatchObject({ bucket: '4x4', firstShape: true });
    expect(meter.record(batch, 1, 'encoder')).toMatchObject({ bucket: '4x4', firstShape: false });
    const warmed = toBatch([windowOf(1)], { size: 1, samples: 16_000 }, 2800);
    expect(meter.record(warmed, 1, 'encoder')).toMatchObject({ bucket: '1x1', firstShape: false });
  });

  it('follows the rate of the runs when it says how long waiting takes', () => {
    const meter = meterOf();
    expect(meter.secondsToDrain(100, 1)).toBe(20);
    expect(meter.secondsToDrain(100, 4)).toBe(5);
    expect(meter.secondsToDrain(0, 1)).toBe(1);
    for (let run = 0; run < 50; run++) meter.record(batch, 4 * 1000, 'encoder');
    expect(meter.secondsToDrain(100, 1)).toBe(100);
  });
});
