/** Reads the sample that begins at a byte as a number whose full scale is 1. */
type ReadSample = (view: DataView, offset: number) => number;

const readU8: ReadSample = (view, offset) => (view.getUint8(offset) - 128) / 2 ** 7;
const readS16: ReadSample = (view, offset) => view.getInt16(offset, true) / 2 ** 15;
const readS24: ReadSample = (view, offset) =>
  (view.getUint16(offset, true) + view.getInt8(offset + 2) * 2 ** 16) / 2 ** 23;
const readS32: ReadSample = (view, offset) => view.getInt32(offset, true) / 2 ** 31;
const readF32: ReadSample = (view, offset) => view.getFloat32(offset, true);
const readF64: ReadSample = (view, offset) => view.getFloat64(offset, true);

const tableReader = (expand: (code: number) => number): ReadSample => {
  const table = Float32Array.from({ length: 256 }, (_, code) => expand(code) / 2 ** 15);
  return (view, offset) => table[view.getUint8(offset)]!;
};

/** G.711 mu-law to 16 bit. */
function expandMuLaw(code: number): number {
  const bits = ~code & 0xff;
  const magnitude = ((((bits & 0x0f) << 3) + 0x84) << ((bits & 0x70) >> 4)) - 0x84;
  return bits & 0x80 ? -magnitude : magnitude;
}

/** G.711 A-law to 16 bit. */
function expandALaw(code: number): number {
  const bits = code ^ 0x55;
  const segment = (bits & 0x70) >> 4;
  const step = (bits & 0x0f) << 4;
  const magnitude = segment === 0 ? step + 8 : (step + 0x108) << (segment - 1);
  return bits & 0x80 ? magnitude : -magnitude;
}

/** How samples of a PCM codec are stored. */
export interface PcmLayout {
  readonly codec: string;
  readonly bytesPerSample: number;
  readonly readSample: ReadSample;
}

/** Whole numbers by bytes per sample; those of one byte have no sign. */
export const INTEGER_LAYOUTS: Readonly<Record<number, PcmLayout>> = {
  1: { codec: 'pcm_u8', bytesPerSample: 1, readSample: readU8 },
  2: { codec: 'pcm_s16le', bytesPerSample: 2, readSample: readS16 },
  3: { codec: 'pcm_s24le', bytesPerSample: 3, readSample: readS24 },
  4: { codec: 'pcm_s32le', bytesPerSample: 4, readSample: readS32 },
};

/** IEEE numbers by bytes per sample. */
export const FLOAT_LAYOUTS: Readonly<Record<number, PcmLayout>> = {
  4: { codec: 'pcm_f32le', bytesPerSample: 4, readSample: readF32 },
  8: { codec: 'pcm_f64le', bytesPerSample: 8, readSample: readF64 },
};

export const MU_LAW_LAYOUTS: Readonly<Record<number, PcmLayout>> = {
  1: { codec: 'pcm_mulaw', bytesPerSample: 1, readSample: tableReader(expandMuLaw) },
};

export const A_LAW_LAYOUTS: Readonly<Record<number, PcmLayout>> = {
  1: { codec: 'pcm_alaw', bytesPerSample: 1, readSample: tableReader(expandALaw) },
};

/** Splits interleaved samples into channels; bytes beyond the last whole block are left out. */
export function toChannels(
  bytes: Uint8Array,
  format: PcmLayout & { readonly numChannels: number },
): Float32Array[] {
  const { bytesPerSample, numChannels, readSample } = format;
  const blockBytes = bytesPerSample * numChannels;
  const numBlocks = Math.floor(bytes.length / blockBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: numChannels }, (_, channel) => {
    const samples = new Float32Array(numBlocks);
    let offset = channel * bytesPerSample;
    for (let block = 0; block < numBlocks; block++, offset += blockBytes) {
      samples[block] = readSample(view, offset);
    }
    return samples;
  });
}
