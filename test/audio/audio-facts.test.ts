import { describe, expect, it } from 'vitest';
import { type AudioFacts, AudioMeter } from '../../src/audio/audio-facts.js';
import { fixturePath } from './clips.js';
import { tone } from './signals.js';
import { decodeWhole } from './whole-clip.js';

const RATE = 44_100;

function measure(channels: readonly Float32Array[], sampleRate = RATE, step = 3_000): AudioFacts {
  const meter = new AudioMeter();
  for (let start = 0; start < channels[0]!.length; start += step) {
    meter.push(
      channels.map((samples) => samples.subarray(start, start + step)),
      sampleRate,
    );
  }
  return meter.facts();
}

/** White noise that is the same each time. */
function noise(length: number, amplitude: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return amplitude * ((2 * state) / 2_147_483_647 - 1);
  });
}

describe('AudioMeter', () => {
  const sine = tone({ hz: 1000, amplitude: 0.5, sampleRate: RATE, seconds: 2 });

  it('tells peak and level of a sine', () => {
    const facts = measure([sine]);
    expect(facts.peakDbfs).toBeCloseTo(-6.02, 2);
    expect(facts.rmsDbfs).toBeCloseTo(-9.03, 2);
    expect(facts).toMatchObject({ fullScaleSamples: 0, silent: false });
    expect(facts.bandwidthHz).toBeGreaterThan(980);
    expect(facts.bandwidthHz).toBeLessThan(1_300);
    expect(facts.warnings).toEqual([
      `The recording carries next to nothing above ${facts.bandwidthHz} Hz.`,
    ]);
  });

  it('counts all channels alike', () => {
    const facts = measure([sine, new Float32Array(sine.length)]);
    expect(facts.peakDbfs).toBeCloseTo(-6.02, 2);
    expect(facts.rmsDbfs).toBeCloseTo(-12.04, 2);
  });

  it('gives the same for any pieces', () => {
    const samples = noise(20_000, 0.7);
    const [whole, pieces] = [measure([samples], RATE, 20_000), measure([samples], RATE, 77)];
    expect(pieces).toEqual({ ...whole, rmsDbfs: expect.closeTo(whole.rmsDbfs ?? 0, 9) });
  });

  it('knows silence, digital and near it', () => {
    const zeros = measure([new Float32Array(10_000)]);
    expect(zeros).toEqual({
      peakDbfs: null,
      rmsDbfs: null,
      fullScaleSamples: 0,
      silent: true,
      bandwidthHz: null,
      warnings: ['The recording is silent: no sample reaches -60 dBFS.'],
    });
    expect(measure([noise(10_000, 0.000_99)]).silent).toBe(true);
    expect(measure([noise(10_000, 0.001_1)]).silent).toBe(false);
  });

  it('counts what is at full scale, of 16 bits on both sides', () => {
    const samples = noise(10_000, 0.9);
    samples.set([1, -1, 32_767 / 32_768, -32_767 / 32_768, 32_766 / 32_768], 100);
    const facts = measure([samples]);
    expect(facts.fullScaleSamples).toBe(4);
    expect(facts.warnings).toEqual(['The recording is clipped: 4 samples at full scale.']);
    expect(measure([noise(100_000, 1).map((v, i) => (i < 2 ? 1 : v * 0.9))]).warnings).toEqual([]);
  });

  it('finds no bandwidth in less than a frame, nor in a constant', () => {
    expect(measure([sine.subarray(0, 2_000)]).bandwidthHz).toBeNull();
    expect(measure([new Float32Array(50_000).fill(0.3)]).bandwidthHz).toBeNull();
  });

  it('bounds what a clip of many rates can take', () => {
    const meter = new AudioMeter();
    for (let rate = 8_000; rate < 8_200; rate++) meter.push([noise(2_048, 0.5)], rate);
    expect(meter.facts().bandwidthHz).toBeGreaterThan(3_900);
  });
});

describe('the bandwidth of real clips', () => {
  const bandwidth = async (name: string) =>
    (await decodeWhole(fixturePath(name))).facts.bandwidthHz ?? 0;

  it('tells telephone and low bit rates from a whole band', async () => {
    expect(await bandwidth('crying_baby.ogg')).toBeGreaterThan(15_000);
    expect(await bandwidth('dog_8k_mulaw.wav')).toBeLessThanOrEqual(4_000);
    const whole = await bandwidth('dog_44k_f32.wav');
    expect(await bandwidth('dog_22k_lowrate.mp3')).toBeLessThan(Math.min(11_026, whole));
  });
});
