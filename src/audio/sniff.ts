import { asciiOf, viewOf } from './codecs/byte-reader.js';
import { isMpegFrameChain, parseMpegFrame } from './codecs/mpeg-frame.js';
import { findMagic } from './magic.js';

/** What a clip looks like. Only its decoder can say whether it is that. */
export interface ClipContent {
  /** `wav`, `mp3`, `ogg`, ...; `unknown` if it looks like nothing known. */
  readonly container: string;
  /** In ffmpeg's naming; `unknown` where the first bytes do not tell. */
  readonly codec: string;
  /** Where the audio begins: behind tags and stray bytes. */
  readonly audioOffset: number;
}

/** Reads `length` bytes at `offset`, fewer at the end. */
export type ReadAt = (offset: number, length: number) => Uint8Array;

type Found = Pick<ClipContent, 'container' | 'codec'>;

const HEAD_BYTES = 65_536;
const MAX_TAGS = 8;

/** Tells the format of a clip by its content; a name or a declared type never counts. */
export function sniffContent(readAt: ReadAt): ClipContent {
  const tagsEnd = endOfTags(readAt);
  const head = readAt(tagsEnd, HEAD_BYTES);
  const found = findMagic(head) ?? findAdts(head) ?? findTransportStream(head);
  if (found) return { ...found, audioOffset: tagsEnd };
  const frameOffset = findMpegAudio(head);
  if (frameOffset === undefined) {
    return { container: 'unknown', codec: 'unknown', audioOffset: 0 };
  }
  const { layer } = parseMpegFrame(head, frameOffset)!;
  return { container: 'mp3', codec: `mp${layer}`, audioOffset: tagsEnd + frameOffset };
}

/** End of the ID3v2 tags at the start; a picture can make one longer than any head. */
function endOfTags(readAt: ReadAt): number {
  let offset = 0;
  for (let count = 0; count < MAX_TAGS; count++) {
    const header = readAt(offset, 10);
    if (header.length < 10 || asciiOf(header, 0, 3) !== 'ID3') break;
    const hasFooter = (header[5]! & 0x10) !== 0;
    const tagBytes = header.subarray(6).reduce((size, byte) => size * 128 + (byte & 0x7f), 0);
    offset += 10 + tagBytes + (hasFooter ? 10 : 0);
  }
  return offset;
}

/** AAC in ADTS: two frames in a row. */
function findAdts(head: Uint8Array): Found | undefined {
  const frameBytes = adtsFrameBytes(head, 0);
  if (frameBytes === 0 || adtsFrameBytes(head, frameBytes) === 0) return undefined;
  return { container: 'adts', codec: 'aac' };
}

function adtsFrameBytes(head: Uint8Array, offset: number): number {
  if (offset + 7 > head.length) return 0;
  const header = viewOf(head);
  if ((header.getUint16(offset) & 0xfff6) !== 0xfff0) return 0;
  return (header.getUint32(offset + 2) >> 5) & 0x1fff;
}

/** MPEG transport stream: packets of 188 bytes that begin with 0x47, here five of them; on discs behind a time of 4. */
function findTransportStream(head: Uint8Array): Found | undefined {
  const isStream = (start: number, step: number) =>
    [0, 1, 2, 3, 4].every((count) => head[start + count * step] === 0x47);
  if (!isStream(0, 188) && !isStream(4, 192)) return undefined;
  return { container: 'mpegts', codec: 'unknown' };
}

/** Where MPEG audio frames begin: streams cut from a broadcast begin with part of one. */
function findMpegAudio(head: Uint8Array): number | undefined {
  if (isMpegFrameChain(head, 0, { mayEnd: true })) return 0;
  for (let offset = 1; offset < head.length - 4; offset++) {
    if (head[offset] === 0xff && isMpegFrameChain(head, offset)) return offset;
  }
  return undefined;
}
