import { asciiOf, ByteReader, viewOf } from './byte-reader.js';
import type { Bytes } from './codec.js';

const CAPTURE = 'OggS';
const HEADER_BYTES = 27;
const SEARCH_BYTES = 4096;

/** One page of one logical stream (RFC 3533). */
export interface OggPage {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Codec's sample position at the end of this page; -1 where no packet ends. */
  readonly granule: number;
  /** The packets that end on this page. */
  readonly packets: readonly Uint8Array[];
}

/**
 * Pages of the first logical stream whose first packet begins with `magic`, and of those of that kind chained to it.
 *
 * Every link of a chain begins with a page that has `isFirst`. Other streams are passed over, and so are bytes
 * between pages; a page that is cut off by the end of the file is left out.
 */
export async function* readOggStream(pieces: Bytes, magic: string): AsyncGenerator<OggPage, void> {
  const reader = new ByteReader(pieces);
  let stream: PacketAssembler | undefined;
  for (let page = await readPage(reader); page; page = await readPage(reader)) {
    if (page.isFirst && beginsWith(page, magic) && !stream?.isAtStart) {
      stream = new PacketAssembler(page.serial);
    }
    if (page.serial === stream?.serial) yield stream.add(page);
  }
}

interface RawPage extends Omit<OggPage, 'packets'> {
  readonly serial: number;
  readonly isContinued: boolean;
  readonly segmentBytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** Joins segments to packets, across pages where need be. */
class PacketAssembler {
  readonly serial: number;
  #begun: Uint8Array[] = [];
  #numPages = 0;
  #isEnded = false;

  constructor(serial: number) {
    this.serial = serial;
  }

  /** Whether only the first page has come: streams that begin now lie beside this one, not behind it. */
  get isAtStart(): boolean {
    return this.#numPages === 1 && !this.#isEnded;
  }

  add(page: RawPage): OggPage {
    this.#numPages++;
    this.#isEnded ||= page.isLast;
    const packets = this.#packetsOf(page);
    return { isFirst: page.isFirst, isLast: page.isLast, granule: page.granule, packets };
  }

  #packetsOf({ isContinued, segmentBytes, payload }: RawPage): Uint8Array[] {
    const packets: Uint8Array[] = [];
    let isOrphan = isContinued && this.#begun.length === 0; // its beginning was lost
    if (!isContinued) this.#begun = [];
    let [start, end] = [0, 0];
    for (const bytes of segmentBytes) {
      end += bytes;
      if (bytes === 255) continue;
      const packet = Buffer.concat([...this.#begun, payload.subarray(start, end)]);
      if (!isOrphan && packet.length > 0) packets.push(packet);
      this.#begun = [];
      isOrphan = false;
      start = end;
    }
    if (end > start && !isOrphan) this.#begun.push(payload.subarray(start, end));
    return packets;
  }
}

async function readPage(reader: ByteReader): Promise<RawPage | undefined> {
  if (!(await findCapture(reader))) return undefined;
  const fixed = await reader.peek(HEADER_BYTES);
  if (fixed.length < HEADER_BYTES) return undefined;
  const view = viewOf(fixed);
  const flags = fixed[5]!;
  const headerBytes = HEADER_BYTES + fixed[26]!;
  const segmentBytes = (await reader.take(headerBytes)).slice(HEADER_BYTES);
  const payloadBytes = segmentBytes.reduce((total, bytes) => total + bytes, 0);
  const payload = await reader.take(payloadBytes);
  if (payload.length < payloadBytes) return undefined;
  return {
    isContinued: (flags & 1) !== 0,
    isFirst: (flags & 2) !== 0,
    isLast: (flags & 4) !== 0,
    granule: Number(view.getBigInt64(6, true)),
    serial: view.getUint32(14, true),
    segmentBytes,
    payload,
  };
}

/** Goes to the next page; false at the end. */
async function findCapture(reader: ByteReader): Promise<boolean> {
  while (true) {
    const ahead = await reader.peek(4);
    if (ahead.length < 4) return false;
    if (asciiOf(ahead, 0, 4) === CAPTURE) return true;
    const bytes = await reader.peek(SEARCH_BYTES);
    const position = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(CAPTURE);
    await reader.skip(position > 0 ? position : Math.max(1, bytes.length - 3));
  }
}

const beginsWith = (page: RawPage, magic: string): boolean =>
  asciiOf(page.payload, 0, magic.length) === magic;
