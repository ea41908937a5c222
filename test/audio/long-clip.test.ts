import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDecoder, type DecodedWindow, type Decoder } from '../../src/audio/decode.js';
import { ClipFolder } from './clips.js';
import { writeSilence } from './long-clips.js';
import { WHOLE_PLAN } from './whole-clip.js';

const MEBIBYTE = 2 ** 20;
/** Half of what the samples of 30 minutes take. */
const MOST_GROWTH_BYTES = 55 * MEBIBYTE;
const TIMEOUT_MS = 240_000;

const folder = new ClipFolder();
let decoder: Decoder;
beforeAll(() => {
  decoder = createDecoder({ threads: 1, maxClipSeconds: 4000, timeoutMs: TIMEOUT_MS });
});
afterAll(async () => {
  await decoder.close();
  folder.remove();
});

/** The most memory of the process, its threads included, while a clip is decoded. */
async function peakBytes(minutes: number, keep: (window: DecodedWindow) => void): Promise<number> {
  let peak = 0;
  const onWindow = (window: DecodedWindow) => {
    keep(window);
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  await decoder.decode(writeSilence(folder, minutes), WHOLE_PLAN, { onWindow });
  return peak;
}

it(
  'takes no more memory for a longer clip, unless somebody keeps its windows',
  async () => {
    const forget = () => {};
    const short = Math.max(await peakBytes(10, forget), await peakBytes(10, forget));
    expect((await peakBytes(40, forget)) - short).toBeLessThan(MOST_GROWTH_BYTES);
    const kept: DecodedWindow[] = [];
    const keeping = await peakBytes(40, (window) => kept.push(window));
    expect(kept).toHaveLength(242);
    expect(keeping - short).toBeGreaterThan(MOST_GROWTH_BYTES);
  },
  TIMEOUT_MS,
);
