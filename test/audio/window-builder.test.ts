import { describe, expect, it } from 'vitest';
import type { PcmChunk } from '../../src/audio/codecs/codec.js';
import { createResampler, joinSamples } from '../../src/audio/resample.js';
import {
  type DecodedWindow,
  type HearingPlan,
  WindowBuilder,
} from '../../src/audio/window-builder.js';
import { isSameSignal } from './clips.js';
import { tone } from './signals.js';
import { joinWindows, WHOLE_PLAN } from './whole-clip.js';

const CHUNK_SAMPLES = 5000;

interface Source {
  readonly sampleRate: number;
  readonly channels: readonly Float32Array[];
}

/** All windows of a chain of sources that comes in chunks. */
function hear(sources: readonly Source[], plan: Partial<HearingPlan> = {}) {
  const builder = new WindowBuilder({ ...WHOLE_PLAN, ...plan });
  const windows: DecodedWindow[] = [];
  for (const chunk of chunksOf(sources)) {
    windows.push(...builder.push(chunk));
    if (builder.isOver) break;
  }
  const end = builder.finish();
  return { windows: [...windows, ...end.windows], clip: end.clip };
}

function* chunksOf(sources: readonly Source[]): Generator<PcmChunk> {
  for (const { sampleRate, channels } of sources) {
    const { length } = channels[0]!;
    for (let start = 0; start < length; start += CHUNK_SAMPLES) {
      const pieces = channels.map((samples) => samples.slice(start, start + CHUNK_SAMPLES));
      yield { codec: 'pcm', sampleRate, channels: pieces };
    }
  }
}

function resampled(samples: Float32Array, fromHz: number): Float32Array {
  const resampler = createResampler({ fromHz, toHz: 16_000 });
  return joinSamples([resampler.push(samples), resampler.flush()]);
}

const sine = (hz: number, sampleRate: number, seconds: number) =>
  tone({ hz, amplitude: 0.4, sampleRate, seconds });

describe('an hour at a rate whose ratio must be rounded', () => {
  it('puts each click where it was, to a few samples', () => {
    // Of all rates from 8 to 192 kHz the one that its best fraction misses most: 2.7 s in an hour.
    const sampleRate = 8_006;
    const seconds = 3600;
    const builder = new WindowBuilder({ ...WHOLE_PLAN, maxClipSeconds: 4000 });
    const clicks: number[] = [];
    let numWindows = 0;
    const listen = (windows: readonly DecodedWindow[]) => {
      for (const { samples, firstRow, startSeconds, index } of windows) {
        numWindows += 1;
        expect(startSeconds).toBeCloseTo(firstRow * 0.16, 6);
        expect(firstRow).toBe(62 * index);
        if (index % 60 !== 0 && index < 360) continue;
        for (let at = 0; at < samples.length; at++) {
          if (samples[at]! > 0.3) clicks.push(startSeconds + at / 16_000);
        }
      }
    };
    // A second of silence with a click in its middle; several samples long, as the band allows.
    const second = new Float32Array(sampleRate);
    second.fill(0.9, sampleRate >> 1, (sampleRate >> 1) + 4);
    for (let count = 0; count < seconds; count++) {
      listen(builder.push({ codec: 'pcm', sampleRate, channels: [second.slice()] }));
    }
    listen(builder.finish().windows);
    expect(numWindows).toBe(363);
    const last = clicks.at(-1) ?? Number.NaN;
    expect(Math.abs(last - (seconds - 0.5))).toBeLessThan(0.01);
    for (const time of clicks) expect(Math.abs((time % 1) - 0.5)).toBeLessThan(0.01);
  });
});

describe('the samples of all channels', () => {
  const silence = (channels: number, sampleRate: number, seconds: number): Source => ({
    sampleRate,
    channels: Array.from({ length: channels }, () => new Float32Array(seconds * sampleRate)),
  });

  it.each([
    [6, 48_000, 1],
    [3, 96_000, 1],
    [12, 48_000, 0.5],
  ])('%i channels at %i Hz of %f s are let in', (...sizes) => {
    expect(() => hear([silence(...sizes)], { maxClipSeconds: 1 })).not.toThrow();
  });

  it.each([
    [7, 48_000, 0.9],
    [1, 768_000, 0.6],
  ])('%i channels at %i Hz of %f s are too many', (...sizes) => {
    expect(() => hear([silence(...sizes)], { maxClipSeconds: 1 })).toThrowError(
      expect.objectContaining({
        code: 'clip_too_long',
        extensions: { max_seconds: 1, max_samples: 288_000 },
      }),
    );
  });

  it('count over all links of a chain', () => {
    const links = [silence(6, 48_000, 0.4), silence(6, 96_000, 0.4)];
    expect(() => hear(links, { maxClipSeconds: 1 })).toThrowError(
      expect.objectContaining({ code: 'clip_too_long' }),
    );
  });
});

describe('a range', () => {
  const source = { sampleRate: 44_100, channels: [sine(300, 44_100, 30)] };

  it('is heard as the clip that is cut from there to there', () => {
    const { windows, clip } = hear([source], { startSeconds: 3.5, endSeconds: 21 });
    const cut = { ...source, channels: [source.channels[0]!.slice(3.5 * 44_100, 21 * 44_100)] };
    const alone = hear([cut]);
    expect(isSameSignal(joinWindows(windows), joinWindows(alone.windows))).toBe(true);
    expect(windows.map(({ startSeconds }) => startSeconds)).toEqual([3.5, 13.42]);
    expect(windows.at(-1)?.endSeconds).toBeCloseTo(21, 9);
    expect(clip.heardSeconds).toBeCloseTo(17.5, 9);
    expect(clip.durationSeconds).toBeCloseTo(21, 9);
    const { rmsDbfs, ...facts } = clip.facts;
    expect(alone.clip.facts).toMatchObject(facts);
    expect(alone.clip.facts.rmsDbfs).toBeCloseTo(rmsDbfs ?? 0, 9);
  });

  it('ends with the clip where its end lies behind that', () => {
    expect(hear([source], { startSeconds: 25, endSeconds: 99 }).clip.heardSeconds).toBeCloseTo(
      5,
      9,
    );
  });

  it('is refused when it begins where the clip has ended', () => {
    expect(() => hear([source], { startSeconds: 30 })).toThrowError(
      expect.objectContaining({
        code: 'range_outside_clip',
        message: 'start_seconds: Expected less than the 30 s of the clip, got 30',
        extensions: expect.objectContaining({ duration_seconds: 30 }),
      }),
    );
  });

  it('counts as a clip that is too short if it is less than a row', () => {
    for (const endSeconds of [5.1, 5.000_001]) {
      expect(() => hear([source], { startSeconds: 5, endSeconds })).toThrowError(
        expect.objectContaining({ code: 'clip_too_short' }),
      );
    }
  });

  it('is counted with what lies before it, and not with what lies behind', () => {
    const tooLong = expect.objectContaining({ code: 'clip_too_long' });
    const longest = { maxClipSeconds: 20 };
    expect(() => hear([source], { ...longest, startSeconds: 19.5 })).toThrowError(tooLong);
    expect(hear([source], { ...longest, endSeconds: 20 }).clip.heardSeconds).toBe(20);
  });

  it('may begin and end in any link of a chain', () => {
    const chain = [8_000, 16_000, 22_050].map((sampleRate) => ({
      sampleRate,
      channels: [sine(300, sampleRate, 4)],
    }));
    const { windows, clip } = hear(chain, { startSeconds: 5, endSeconds: 10 });
    const samples = joinWindows(windows);
    const expected = joinSamples([
      chain[1]!.channels[0]!.slice(16_000),
      resampled(chain[2]!.channels[0]!.slice(0, 2 * 22_050), 22_050),
    ]);
    expect(isSameSignal(samples, expected)).toBe(true);
    expect(clip).toMatchObject({ heardSeconds: 5, durationSeconds: 10, sampleRate: 8_000 });
  });
});

describe('channels', () => {
  const [low, high, middle] = [100, 900, 400].map((hz) => sine(hz, 16_000, 12));
  const source = { sampleRate: 16_000, channels: [low!, high!, middle!] };
  const heard = (channel: HearingPlan['channel'], from = [source]) => hear(from, { channel });

  it('are mixed, taken alone, or heard each by itself', () => {
    const mean = low!.map((value, i) => Math.fround((value + high![i]! + middle![i]!) / 3));
    expect(isSameSignal(joinWindows(heard('mix').windows), mean)).toBe(true);
    expect(isSameSignal(joinWindows(heard('left').windows), low!)).toBe(true);
    expect(isSameSignal(joinWindows(heard('right').windows, 1), high!)).toBe(true);
    const each = heard('each');
    expect(each.clip.heardChannels).toEqual([0, 1, 2]);
    for (const [channel, samples] of source.channels.entries()) {
      expect(isSameSignal(joinWindows(each.windows, channel), samples)).toBe(true);
    }
    const order = each.windows.map(({ channel, index }) => [channel, index]);
    for (const channel of [0, 1, 2]) {
      const mine = order.filter(([name]) => name === channel).map(([, index]) => index);
      expect(mine).toEqual([0, 1]);
    }
  });

  it('are measured as they are heard', () => {
    const loud = { sampleRate: 16_000, channels: [low!, new Float32Array(low!.length).fill(1)] };
    expect(heard('left', [loud]).clip.facts.fullScaleSamples).toBe(0);
    expect(heard('mix', [loud]).clip.facts.fullScaleSamples).toBe(low!.length);
    expect(heard('right', [loud]).clip.facts.peakDbfs).toBe(0);
  });

  it('of which there is one have no right one', () => {
    const mono = { sampleRate: 16_000, channels: [low!] };
    expect(heard('left', [mono]).clip.heardChannels).toEqual([0]);
    expect(() => heard('right', [mono])).toThrowError(
      expect.objectContaining({
        code: 'invalid_value',
        message: 'channel: Expected mix, left or each for a clip of one channel, got right',
      }),
    );
  });

  it('stay as many as they were where a chain goes on with fewer', () => {
    const mono = { sampleRate: 16_000, channels: [middle!] };
    const { windows } = heard('each', [source, mono]);
    for (const channel of [0, 1, 2]) {
      expect(joinWindows(windows, channel)).toHaveLength(2 * low!.length);
    }
  });
});

describe('less than a row', () => {
  const source = { sampleRate: 8_000, channels: [sine(300, 8_000, 0.1)] };

  it('is refused, or filled up with silence', () => {
    expect(() => hear([source])).toThrowError(
      expect.objectContaining({
        code: 'clip_too_short',
        message: 'Expected at least 0.175 s of audio, got 0.100 s',
        extensions: { min_seconds: 0.175 },
      }),
    );
    const { windows, clip } = hear([source], { short: 'pad' });
    expect(windows).toHaveLength(1);
    expect(windows[0]?.samples).toHaveLength(2_800);
    expect(windows[0]?.samples.subarray(1_600).every((value) => value === 0)).toBe(true);
    expect(clip.heardSeconds).toBeCloseTo(0.1, 9);
    expect(windows[0]?.endSeconds).toBeCloseTo(0.1, 9);
  });

  it('is not filled up where there is nothing at all', () => {
    expect(() => hear([], { short: 'pad' })).toThrowError(
      expect.objectContaining({ code: 'empty_audio' }),
    );
  });
});
