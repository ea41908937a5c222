import type { DecodedWindow, DecodePlan, Decoder } from '../../src/audio/decode.js';
import { type DecodeDeps, type DecodedClip, decodeClip } from '../../src/audio/decode-clip.js';
import type { HearingPlan } from '../../src/audio/window-builder.js';

/** The grid of the models, and the whole clip as one channel. */
export const WHOLE_PLAN: HearingPlan = {
  channel: 'mix',
  startSeconds: 0,
  short: 'reject',
  grid: { sampleRate: 16_000, windowSeconds: 10, minSamples: 2800 },
  maxClipSeconds: 600,
};

export interface WholeClip extends DecodedClip {
  readonly windows: readonly DecodedWindow[];
  /** Samples of the first channel, put together again. */
  readonly samples: Float32Array;
}

/** Decodes in this thread and keeps all windows; with a plan that wants the tail, even of less than one row. */
export async function decodeWhole(
  path: string,
  plan: Partial<HearingPlan> = {},
  deps: Partial<DecodeDeps> = {},
): Promise<WholeClip> {
  const windows: DecodedWindow[] = [];
  const onWindow = (window: DecodedWindow) => void windows.push(window);
  const clip = await decodeClip(path, { ...WHOLE_PLAN, ...plan }, { onWindow, ...deps });
  return { ...clip, windows, samples: joinWindows(windows) };
}

/** The same in the threads of a decoder. */
export async function decodeIn(
  decoder: Pick<Decoder, 'decode'>,
  path: string,
  { signal, ...plan }: Partial<DecodePlan> & { signal?: AbortSignal } = {},
): Promise<WholeClip> {
  const windows: DecodedWindow[] = [];
  const onWindow = (window: DecodedWindow) => void windows.push(window);
  const { maxClipSeconds: _, ...whole } = WHOLE_PLAN;
  const clip = await decoder.decode(path, { ...whole, ...plan }, { onWindow, signal });
  return { ...clip, windows, samples: joinWindows(windows) };
}

/** The signal of one channel from its windows, which overlap. */
export function joinWindows(windows: readonly DecodedWindow[], channel = 0): Float32Array {
  const mine = windows.filter((window) => window.channel === channel);
  const [first, last] = [mine[0], mine.at(-1)];
  if (!first || !last) return new Float32Array(0);
  const startOf = ({ firstRow }: DecodedWindow) => firstRow * 16 * 160;
  const samples = new Float32Array(startOf(last) + last.samples.length);
  for (const window of mine) samples.set(window.samples, startOf(window));
  return samples;
}
