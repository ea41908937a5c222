/** What the header of an MPEG audio frame says (ISO 11172-3, 2.4.1.3, and 13818-3). */
export interface MpegFrame {
  readonly layer: 1 | 2 | 3;
  readonly sampleRate: number;
  readonly numChannels: number;
  readonly frameBytes: number;
}

const MPEG_1 = 3;
const MPEG_2 = 2;
const MPEG_2_5 = 0;
const MONO = 3;

/** Rates of MPEG 1; MPEG 2 has half of them, MPEG 2.5 a quarter. */
const SAMPLE_RATES = [44_100, 48_000, 32_000] as const;
const RATE_DIVISORS: Readonly<Record<number, number>> = { [MPEG_1]: 1, [MPEG_2]: 2, [MPEG_2_5]: 4 };

/** kbit/s by layer for MPEG 1, then for the others; index 0 ("free") is not taken for a frame. */
const BIT_RATES = {
  1: [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  2: [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
} as const;
const LOW_BIT_RATES = {
  1: [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  3: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
} as const;

/** The frame whose header begins at `offset`, or undefined where none can. */
export function parseMpegFrame(bytes: Uint8Array, offset: number): MpegFrame | undefined {
  const [sync = 0, kind = 0, rates = 0, mode = 0] = bytes.subarray(offset, offset + 4);
  if (sync !== 0xff || (kind & 0xe0) !== 0xe0) return undefined;
  const divisor = RATE_DIVISORS[(kind >> 3) & 3];
  const layer = layerOf(kind);
  const rate = SAMPLE_RATES[(rates >> 2) & 3];
  if (divisor === undefined || layer === undefined || rate === undefined) return undefined;
  const kiloBits = (divisor === 1 ? BIT_RATES : LOW_BIT_RATES)[layer][rates >> 4];
  if (!kiloBits) return undefined;
  const sampleRate = rate / divisor;
  const slots = Math.floor((slotsPerSecondFactor(layer, divisor) * kiloBits * 1000) / sampleRate);
  const frameBytes = (slots + ((rates >> 1) & 1)) * (layer === 1 ? 4 : 1);
  return { layer, sampleRate, numChannels: mode >> 6 === MONO ? 1 : 2, frameBytes };
}

function layerOf(kind: number): 1 | 2 | 3 | undefined {
  return ([undefined, 3, 2, 1] as const)[(kind >> 1) & 3];
}

/** Samples per frame over bits per slot. */
function slotsPerSecondFactor(layer: 1 | 2 | 3, divisor: number): number {
  if (layer === 1) return 12;
  return layer === 3 && divisor > 1 ? 72 : 144;
}

/** Whether three frames of one kind follow each other from `offset`, or with `mayEnd` as many as there are. */
export function isMpegFrameChain(
  bytes: Uint8Array,
  offset: number,
  options: { mayEnd: boolean } = { mayEnd: false },
): boolean {
  const first = parseMpegFrame(bytes, offset);
  if (!first) return false;
  let next = offset + first.frameBytes;
  for (let count = 1; count < 3; count++) {
    if (next >= bytes.length) return options.mayEnd;
    const frame = parseMpegFrame(bytes, next);
    if (frame?.layer !== first.layer || frame.sampleRate !== first.sampleRate) return false;
    next += frame.frameBytes;
  }
  return true;
}
