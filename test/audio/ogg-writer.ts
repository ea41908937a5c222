/** One Ogg page to write. */
export interface PageOptions {
  readonly packets: readonly Uint8Array[];
  readonly serial?: number;
  readonly sequence?: number;
  readonly granule?: number;
  readonly isFirst?: boolean;
  readonly isLast?: boolean;
  /** The first packet began on an earlier page. */
  readonly isContinued?: boolean;
  /** The last packet goes on on the next page: its length is a multiple of 255. */
  readonly isOpen?: boolean;
}

/** An Ogg page. Checksums are left at zero: the reader does not ask for them. */
export function writePage(options: PageOptions): Buffer {
  const segments = options.packets.flatMap((packet, index) => {
    const isOpen = options.isOpen === true && index === options.packets.length - 1;
    const full = Array<number>(Math.floor(packet.length / 255)).fill(255);
    return isOpen ? full : [...full, packet.length % 255];
  });
  const header = Buffer.alloc(27);
  header.write('OggS');
  header[5] = (options.isContinued ? 1 : 0) | (options.isFirst ? 2 : 0) | (options.isLast ? 4 : 0);
  header.writeBigInt64LE(BigInt(options.granule ?? 0), 6);
  header.writeUInt32LE(options.serial ?? 1, 14);
  header.writeUInt32LE(options.sequence ?? 0, 18);
  header[26] = segments.length;
  return Buffer.concat([header, Buffer.from(segments), ...options.packets]);
}
