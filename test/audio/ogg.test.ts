import { describe, expect, it } from 'vitest';
import { type OggPage, readOggStream } from '../../src/audio/codecs/ogg.js';
import { inPieces } from './clips.js';
import { type PageOptions, writePage } from './ogg-writer.js';

const MAGIC = 'Test';
const packet = (length: number, value: number) => Buffer.alloc(length, value);
const FIRST = { packets: [Buffer.from('Test head')], isFirst: true };

async function read(bytes: Uint8Array, pieceBytes?: number): Promise<OggPage[]> {
  const pages: OggPage[] = [];
  for await (const page of readOggStream(inPieces(bytes, pieceBytes), MAGIC)) pages.push(page);
  return pages;
}

const write = (...pages: PageOptions[]) => Buffer.concat(pages.map(writePage));

async function packetsOf(bytes: Uint8Array): Promise<Buffer[]> {
  const pages = await read(bytes);
  return pages.flatMap((page) => page.packets.map((bytes) => Buffer.from(bytes)));
}

describe('readOggStream', () => {
  it.each([0, 1, 254, 255, 256, 510, 5_000])('gives back packets of %i bytes', async (length) => {
    const packets = [packet(9, 1), packet(length, 2), packet(3, 3)];
    const expected = [FIRST.packets[0], ...packets.filter((bytes) => bytes.length > 0)];
    expect(await packetsOf(write(FIRST, { packets }))).toEqual(expected);
  });

  it('joins a packet that goes over three pages', async () => {
    const bytes = write(
      FIRST,
      { packets: [packet(10, 1), packet(255, 2)], isOpen: true, granule: -1 },
      { packets: [packet(510, 2)], isContinued: true, isOpen: true, granule: -1 },
      { packets: [packet(7, 2), packet(4, 3)], isContinued: true, granule: 5 },
    );
    const expected = [FIRST.packets[0], packet(10, 1), packet(772, 2), packet(4, 3)];
    expect(await packetsOf(bytes)).toEqual(expected);
  });

  it('leaves out a packet whose beginning or end was lost', async () => {
    const bytes = write(
      FIRST,
      { packets: [packet(20, 9), packet(4, 1)], isContinued: true },
      { packets: [packet(255, 9)], isOpen: true },
      { packets: [packet(5, 2)] },
    );
    expect(await packetsOf(bytes)).toEqual([FIRST.packets[0], packet(4, 1), packet(5, 2)]);
  });

  it('reads flags and positions, in pieces of any size', async () => {
    const bytes = write(
      FIRST,
      { packets: [packet(300, 1)], granule: 2 ** 40 },
      { packets: [packet(3, 2)], granule: -1 },
      { packets: [packet(3, 3)], granule: 77, isLast: true },
    );
    const pages = await read(bytes);
    expect(pages.map((page) => page.granule)).toEqual([0, 2 ** 40, -1, 77]);
    expect(pages.map((page) => page.isFirst)).toEqual([true, false, false, false]);
    expect(pages.map((page) => page.isLast)).toEqual([false, false, false, true]);
    for (const pieceBytes of [1, 10, 28]) expect(await read(bytes, pieceBytes)).toEqual(pages);
  });

  it('passes over other streams, of another kind or of the same', async () => {
    const bytes = write(
      { packets: [Buffer.from('video')], isFirst: true, serial: 7 },
      FIRST,
      { packets: [Buffer.from('Test too')], isFirst: true, serial: 9 },
      { packets: [packet(5, 7)], serial: 7 },
      { packets: [packet(5, 1)] },
      { packets: [packet(5, 9)], serial: 9 },
    );
    expect(await packetsOf(bytes)).toEqual([FIRST.packets[0], packet(5, 1)]);
  });

  it('goes on with the next link of a chain', async () => {
    const link = (serial: number) =>
      write(
        { ...FIRST, serial },
        { packets: [packet(5, serial)], serial },
        { packets: [packet(6, serial)], serial, isLast: serial === 3 },
      );
    const pages = await read(Buffer.concat([link(3), link(4), link(4)]));
    expect(pages.map((page) => page.isFirst)).toEqual([
      ...[true, false, false],
      ...[true, false, false],
      ...[true, false, false],
    ]);
  });

  it('finds the next page behind stray bytes', async () => {
    const stray = Buffer.concat([packet(9_000, 0x4f), Buffer.from('OggO')]);
    const bytes = Buffer.concat([write(FIRST), stray, write({ packets: [packet(5, 1)] }), stray]);
    expect(await packetsOf(bytes)).toEqual([FIRST.packets[0], packet(5, 1)]);
  });

  it('leaves out a page that is cut off', async () => {
    const bytes = write(FIRST, { packets: [packet(5, 1)] }, { packets: [packet(500, 2)] });
    for (const length of [bytes.length - 1, bytes.length - 501, bytes.length - 520]) {
      const packets = await packetsOf(bytes.subarray(0, length));
      expect(packets).toEqual([FIRST.packets[0], packet(5, 1)]);
    }
  });
});
