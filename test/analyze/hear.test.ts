import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type AnalysisDeps,
  type HeardWindow,
  type Hearing,
  hearClip,
  WHOLE_CLIP,
} from '../../src/analyze/hear.js';
import type { Model } from '../../src/inference/model-registry.js';
import { ClipFolder, fixturePath, isSameSignal } from '../audio/clips.js';
import { writeSilence } from '../audio/long-clips.js';
import { tone } from '../audio/signals.js';
import { writeWav } from '../audio/wav-writer.js';
import { decodeIn } from '../audio/whole-clip.js';
import { wholeWindows } from '../audio/whole-windows.js';
import { openWorkshop, type Workshop } from '../http/test-service.js';

const ROOSTER = fixturePath('rooster.ogg');
const folder = new ClipFolder();

let workshop: Workshop;
let model: Model;
beforeAll(async () => {
  workshop = await openWorkshop({ maxClipSeconds: 4000 });
  model = workshop.registry.get();
});
afterAll(async () => {
  await workshop.close();
  folder.remove();
});

function depsWith(change: Partial<AnalysisDeps> = {}): AnalysisDeps {
  const observer = { enter() {}, spent() {}, decodeDone() {}, decodeFailed() {} };
  const { signal } = new AbortController();
  return { decoder: workshop.decoder, model, observer, signal, ...change };
}

async function hear(path: string, hearing: Partial<Hearing> = {}) {
  const windows: HeardWindow[] = [];
  const wanted: Hearing = { ...WHOLE_CLIP, outputs: ['row_logits'], ...hearing };
  const take = (window: HeardWindow) => void windows.push(window);
  return { windows, heard: await hearClip({ path, bytes: 1 }, wanted, take, depsWith()) };
}

/** 45 s of two channels that differ. */
function stereoClip(): string {
  const channels = [300, 1200].map((hz) =>
    tone({ hz, amplitude: 0.5, sampleRate: 16_000, seconds: 45 }),
  );
  return folder.write(writeWav({ kind: 'f32', sampleRate: 16_000, channels }));
}

describe('hearClip', () => {
  test('gives the rows of the whole clip, window by window', async () => {
    const path = stereoClip();
    const { windows, heard } = await hear(path);
    const { samples } = await decodeIn(workshop.decoder, path);
    const whole = wholeWindows(samples);
    const outputs = await model.run(whole, { outputs: ['row_logits'] });
    expect(windows).toHaveLength(whole.length);
    let firstRow = 0;
    for (const [index, window] of windows.entries()) {
      const { rows, values } = outputs[index]!;
      expect(window).toMatchObject({ index, channel: 0, firstRow, rows });
      expect(window.startSeconds).toBeCloseTo(firstRow * 0.16, 9);
      expect(isSameSignal(window.samples, whole[index]!.samples)).toBe(true);
      const [logits, expected] = [window.values.row_logits!, values.row_logits!];
      expect(logits).toHaveLength(expected.length);
      expect(Math.max(...logits.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(
        1e-4,
      );
      firstRow += rows;
    }
    expect(heard).toMatchObject({ audioSeconds: 45, windows: 5, channels: [0] });
  });

  test('hears each channel as it would be heard alone', async () => {
    const path = stereoClip();
    const each = await hear(path, { channel: 'each' });
    expect(each.heard).toMatchObject({ audioSeconds: 45, windows: 10, channels: [0, 1] });
    for (const [channel, name] of (['left', 'right'] as const).entries()) {
      const mine = each.windows.filter((window) => window.channel === channel);
      const alone = await hear(path, { channel: name });
      expect(alone.heard.channels).toEqual([channel]);
      expect(mine.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
      for (const [index, { samples }] of mine.entries()) {
        expect(isSameSignal(samples, alone.windows[index]!.samples)).toBe(true);
      }
    }
  });

  test('gives times on the clock of the source where a range is heard', async () => {
    const { windows, heard } = await hear(stereoClip(), { startSeconds: 12.5, endSeconds: 30 });
    expect(windows.map(({ startSeconds }) => startSeconds)).toEqual([12.5, 22.42]);
    expect(windows.map(({ firstRow }) => firstRow)).toEqual([0, 62]);
    expect(windows.at(-1)?.endSeconds).toBe(30);
    expect(heard.audioSeconds).toBe(17.5);
  });

  test('waits for who hears it, and reads little more meanwhile', async () => {
    let numDecoded = 0;
    const decoder: AnalysisDeps['decoder'] = {
      decode: (path, plan, { onWindow, ...options }) =>
        workshop.decoder.decode(path, plan, {
          ...options,
          onWindow(window) {
            numDecoded += 1;
            return onWindow(window);
          },
        }),
    };
    let numHeard = 0;
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const onWindow = () => {
      numHeard += 1;
      return held;
    };
    const wanted: Hearing = { ...WHOLE_CLIP, outputs: ['clip_logits'] };
    const path = writeSilence(folder, 5);
    const hearing = hearClip({ path, bytes: 1 }, wanted, onWindow, depsWith({ decoder }));
    await expect.poll(() => numHeard).toBe(1);
    // Another clip goes all its way meanwhile, through the same thread and engine.
    await hear(ROOSTER);
    expect(numHeard).toBe(1);
    expect(numDecoded).toBeLessThan(8);
    letGo();
    expect((await hearing).windows).toBe(31);
    expect(numHeard).toBe(31);
  });

  test('ends with what its hearer throws, and hands nothing on after that', async () => {
    const failure = new Error('the disk is full');
    let numHeard = 0;
    const onWindow = async () => {
      await nextTurn();
      numHeard += 1;
      if (numHeard === 3) throw failure;
    };
    const wanted: Hearing = { ...WHOLE_CLIP, outputs: ['clip_logits'] };
    const hearing = hearClip(
      { path: writeSilence(folder, 5), bytes: 1 },
      wanted,
      onWindow,
      depsWith(),
    );
    await expect(hearing).rejects.toBe(failure);
    await hear(ROOSTER);
    expect(numHeard).toBe(3);
  });

  test('ends with the reason of its signal in the middle of a clip', async () => {
    const abort = new AbortController();
    const reason = new Error('the client is gone');
    const onWindow = ({ index }: HeardWindow) => {
      if (index === 4) abort.abort(reason);
    };
    const wanted: Hearing = { ...WHOLE_CLIP, outputs: ['clip_logits'] };
    const deps = depsWith({ signal: abort.signal });
    const hearing = hearClip({ path: writeSilence(folder, 10), bytes: 1 }, wanted, onWindow, deps);
    await expect(hearing).rejects.toBe(reason);
  });
});
