/** A FLAC stream to write: whole numbers, without compression but for runs of one value. */
export interface FlacOptions {
  readonly sampleRate: number;
  readonly bits: number;
  /** Whole numbers within `bits`; all channels of one length. */
  readonly channels: readonly ArrayLike<number>[];
  readonly blockSamples?: number;
  /** Leaves rate and width of each frame to the stream's description. */
  readonly isTerse?: boolean;
}

/** A native FLAC file. */
export function writeFlac(options: FlacOptions): Buffer {
  return Buffer.concat([Buffer.from('fLaC'), writeStreamInfo(options), ...writeFrames(options)]);
}

/** The metadata block that describes the stream, as the only one. */
export function writeStreamInfo({ sampleRate, bits, channels, blockSamples }: FlacOptions): Buffer {
  const blockSize = blockSamples ?? 4096;
  const fields = new BitWriter();
  fields.write(0x80, 8).write(34, 24);
  fields.write(blockSize, 16).write(blockSize, 16).write(0, 24).write(0, 24);
  fields
    .write(sampleRate, 20)
    .write(channels.length - 1, 3)
    .write(bits - 1, 5);
  fields.write(0, 4).write(channels[0]!.length, 32);
  return Buffer.concat([fields.toBuffer(), Buffer.alloc(16)]);
}

const WIDTH_CODES: Readonly<Record<number, number>> = { 8: 1, 12: 2, 16: 4, 20: 5, 24: 6 };
const SIZE_AT_END_16 = 7;
const RATE_AT_END_HZ = 13;

/** The frames of a stream, one by one. */
export function writeFrames(options: FlacOptions): Buffer[] {
  const { channels, bits, sampleRate, blockSamples = 4096, isTerse = false } = options;
  const numFrames = Math.ceil(channels[0]!.length / blockSamples);
  return Array.from({ length: numFrames }, (_, number) => {
    const start = number * blockSamples;
    const blocks = channels.map((samples) => sliceOf(samples, start, start + blockSamples));
    const frame = new BitWriter();
    frame
      .write(0xfff8, 16)
      .write(SIZE_AT_END_16, 4)
      .write(isTerse ? 0 : RATE_AT_END_HZ, 4);
    frame
      .write(channels.length - 1, 4)
      .write(isTerse ? 0 : WIDTH_CODES[bits]!, 3)
      .write(0, 1);
    writeCodedNumber(frame, number);
    frame.write(blocks[0]!.length - 1, 16);
    if (!isTerse) frame.write(sampleRate, 16);
    frame.write(crc(frame.toBuffer(), { bits: 8, polynomial: 0x07 }), 8);
    for (const block of blocks) writeSubframe(frame, block, bits);
    frame.alignToByte();
    return Buffer.concat([frame.toBuffer(), crc16(frame.toBuffer())]);
  });
}

const sliceOf = (samples: ArrayLike<number>, start: number, end: number): number[] =>
  Array.from({ length: Math.min(end, samples.length) - start }, (_, i) => samples[start + i]!);

function writeSubframe(frame: BitWriter, samples: readonly number[], bits: number): void {
  const isConstant = samples.every((value) => value === samples[0]);
  frame.write(isConstant ? 0 : 0b10, 8);
  for (const value of isConstant ? samples.slice(0, 1) : samples) frame.write(value, bits);
}

/** Frame numbers are written like UTF-8. */
function writeCodedNumber(frame: BitWriter, number: number): void {
  const bytes = Buffer.from(String.fromCodePoint(number));
  for (const byte of bytes) frame.write(byte, 8);
}

function crc16(bytes: Buffer): Buffer {
  const value = Buffer.alloc(2);
  value.writeUInt16BE(crc(bytes, { bits: 16, polynomial: 0x8005 }));
  return value;
}

/** Bit by bit, as a polynomial division. */
function crc(bytes: Uint8Array, o: { bits: number; polynomial: number }): number {
  let rest = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const isOut = ((rest >> (o.bits - 1)) & 1) !== ((byte >> bit) & 1);
      rest = ((rest << 1) ^ (isOut ? o.polynomial : 0)) & (2 ** o.bits - 1);
    }
  }
  return rest;
}

class BitWriter {
  readonly #bytes: number[] = [];
  #free = 0;

  /** Appends the low bits of a number, highest first. */
  write(value: number, bits: number): this {
    for (let bit = bits - 1; bit >= 0; bit--) {
      if (this.#free === 0) {
        this.#bytes.push(0);
        this.#free = 8;
      }
      this.#free--;
      const isSet = Math.floor(value / 2 ** bit) % 2 !== 0;
      if (isSet) this.#bytes[this.#bytes.length - 1]! |= 1 << this.#free;
    }
    return this;
  }

  alignToByte(): void {
    this.#free = 0;
  }

  toBuffer(): Buffer {
    return Buffer.from(this.#bytes);
  }
}
