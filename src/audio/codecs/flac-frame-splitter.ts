const MAX_HEADER_BYTES = 16;
const MAX_FRAME_BYTES = 2 ** 22; // 8 channels x 65 535 samples x 32 bit are less

/**
 * Finds the frames in a stream of bytes; looks at every byte once, whatever the stream holds.
 *
 * A header (RFC 9639, 9.1) begins a frame if its CRC-8 is right and it agrees with the latest good frame. What lies
 * between two headers is a frame if its CRC-16 comes out as zero, and damaged else: then it is left out. Sound that
 * looks like such a header occurs once in some 70 000 MB and costs one frame.
 */
export class FlacFrameSplitter {
  #bytes = new Uint8Array(2 ** 16);
  #length = 0;
  #start = 0;
  #scanned = 0;
  /** CRC-16 of what lies between start and scanned. */
  #crc = 0;
  /** Latest position at which that CRC was zero. */
  #zeroAt = 0;
  #isInFrame = false;
  #goodHeader: Uint8Array | undefined;

  /** Takes the next bytes; yields the frames that end in them. */
  *push(bytes: Uint8Array): Generator<Uint8Array, void> {
    this.#append(bytes);
    yield* this.#framesUpTo(this.#length - MAX_HEADER_BYTES);
    if (this.#scanned - this.#start > MAX_FRAME_BYTES) this.#restart();
  }

  /** Yields the frames that are left; a tag appended behind the last one is left out. */
  *flush(): Generator<Uint8Array, void> {
    yield* this.#framesUpTo(this.#length);
    if (this.#isInFrame && this.#zeroAt > this.#start) {
      yield this.#bytes.slice(this.#start, this.#zeroAt);
    }
  }

  *#framesUpTo(end: number): Generator<Uint8Array, void> {
    while (this.#scanToHeader(end)) {
      const isGood = this.#isInFrame && this.#crc === 0;
      const frame = isGood ? this.#bytes.slice(this.#start, this.#scanned) : undefined;
      if (frame) this.#goodHeader = frame.subarray(0, 4);
      this.#restart();
      this.#isInFrame = true;
      this.#scanByte();
      if (frame) yield frame;
    }
  }

  /** Stops at the next header, or at `end` with false. */
  #scanToHeader(end: number): boolean {
    const bytes = this.#bytes;
    while (this.#scanned < end) {
      if (bytes[this.#scanned] === 0xff && this.#isHeader(this.#scanned)) return true;
      this.#scanByte();
    }
    return false;
  }

  #scanByte(): void {
    const index = (this.#crc >> 8) ^ this.#bytes[this.#scanned]!;
    this.#crc = ((this.#crc << 8) & 0xffff) ^ CRC_16[index]!;
    this.#scanned++;
    if (this.#crc === 0) this.#zeroAt = this.#scanned;
  }

  #isHeader(position: number): boolean {
    const header = this.#bytes.subarray(
      position,
      Math.min(position + MAX_HEADER_BYTES, this.#length),
    );
    return isFrameHeader(header) && (!this.#goodHeader || isAlike(header, this.#goodHeader));
  }

  /** Begins anew at what was scanned last. */
  #restart(): void {
    this.#start = this.#scanned;
    this.#zeroAt = this.#scanned;
    this.#crc = 0;
    this.#isInFrame = false;
  }

  #append(bytes: Uint8Array): void {
    this.#dropPassed();
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(2 * length);
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  #dropPassed(): void {
    this.#bytes.copyWithin(0, this.#start, this.#length);
    this.#length -= this.#start;
    this.#scanned -= this.#start;
    this.#zeroAt -= this.#start;
    this.#start = 0;
  }
}

/** Whether bytes begin with a whole frame header with a right CRC-8. */
function isFrameHeader(bytes: Uint8Array): boolean {
  const [sync = 0, strategy = 0, sizes = 0, layout = 0, number = 0] = bytes;
  const [blockCode, rateCode, widthCode] = [sizes >> 4, sizes & 15, (layout >> 1) & 7];
  if (sync !== 0xff || (strategy & 0xfe) !== 0xf8 || (layout & 1) !== 0) return false;
  if (blockCode === 0 || rateCode === 15 || widthCode === 3 || layout >> 4 > 10) return false;
  const blockBytes = blockCode === 6 ? 1 : blockCode === 7 ? 2 : 0;
  const rateBytes = rateCode === 12 ? 1 : rateCode === 13 || rateCode === 14 ? 2 : 0;
  const numberBytes = codedNumberBytes(number);
  const crcAt = 4 + numberBytes + blockBytes + rateBytes;
  return numberBytes > 0 && crcAt < bytes.length && crc8(bytes.subarray(0, crcAt)) === bytes[crcAt];
}

/** Length of a number in FLAC's extended UTF-8 by its first byte; 0 if none begins so. */
function codedNumberBytes(first: number): number {
  const numOnes = Math.clz32(~(first << 24));
  if (numOnes === 0) return 1;
  return numOnes >= 2 && numOnes <= 7 ? numOnes : 0;
}

/** Whether two headers have one blocking strategy, rate, number of channels and sample width. */
function isAlike(a: Uint8Array, b: Uint8Array): boolean {
  const numChannels = (layout: number) => (layout >> 4 > 7 ? 2 : (layout >> 4) + 1);
  return (
    a[1] === b[1] &&
    (a[2]! & 0x0f) === (b[2]! & 0x0f) &&
    (a[3]! & 0x0e) === (b[3]! & 0x0e) &&
    numChannels(a[3]!) === numChannels(b[3]!)
  );
}

/** Table of a CRC with the high bit first. */
function crcTable(o: { bits: number; polynomial: number }): Uint16Array {
  const [highBit, mask] = [1 << (o.bits - 1), 2 ** o.bits - 1];
  return Uint16Array.from({ length: 256 }, (_, byte) => {
    let crc = byte << (o.bits - 8);
    for (let bit = 0; bit < 8; bit++)
      crc = ((crc << 1) ^ (crc & highBit ? o.polynomial : 0)) & mask;
    return crc;
  });
}

const CRC_8 = crcTable({ bits: 8, polynomial: 0x07 });
const CRC_16 = crcTable({ bits: 16, polynomial: 0x8005 });

const crc8 = (bytes: Uint8Array): number => bytes.reduce((crc, byte) => CRC_8[crc ^ byte]!, 0);
