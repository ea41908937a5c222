/** Sample formats of WAV files, written here by other means than the reader's. */
export type SampleKind = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64' | 'mulaw' | 'alaw';

export const SAMPLE_KINDS: readonly SampleKind[] = [
  'u8',
  's16',
  's24',
  's32',
  'f32',
  'f64',
  'mulaw',
  'alaw',
];

const FORMAT_TAGS = { u8: 1, s16: 1, s24: 1, s32: 1, f32: 3, f64: 3, alaw: 6, mulaw: 7 } as const;
const SAMPLE_BYTES = { u8: 1, s16: 2, s24: 3, s32: 4, f32: 4, f64: 8, alaw: 1, mulaw: 1 } as const;

export interface WavOptions {
  readonly kind: SampleKind;
  readonly sampleRate: number;
  /** Values in [-1, 1]; all channels of one length. */
  readonly channels: readonly ArrayLike<number>[];
  readonly form?: 'RIFF' | 'RF64' | 'W64';
  readonly isExtensible?: boolean;
  /** Written in place of the true size of the samples. */
  readonly dataBytes?: number;
  /** Further chunks before the format chunk. */
  readonly chunks?: readonly { readonly id: string; readonly payload: Uint8Array }[];
}

/** A WAV file. */
export function writeWav(options: WavOptions): Buffer {
  const data = writeSamples(options);
  const format = writeFormat(options);
  const chunks = [...(options.chunks ?? []), { id: 'fmt ', payload: format }];
  return options.form === 'W64'
    ? joinWave64(options, chunks, data)
    : joinRiff(options, chunks, data);
}

type Chunks = readonly { readonly id: string; readonly payload: Uint8Array }[];

function joinRiff(options: WavOptions, chunks: Chunks, data: Buffer): Buffer {
  const isLong = options.form === 'RF64';
  const size = options.dataBytes ?? (isLong ? 0xffff_ffff : data.length);
  const lengths = Buffer.alloc(28);
  lengths.writeBigUInt64LE(BigInt(data.length), 8);
  const all = isLong ? [{ id: 'ds64', payload: lengths }, ...chunks] : chunks;
  const body = all.map(({ id, payload }) =>
    Buffer.concat([
      Buffer.from(id),
      uint32(payload.length),
      payload,
      Buffer.alloc(payload.length % 2),
    ]),
  );
  const rest = Buffer.concat([
    Buffer.from('WAVE'),
    ...body,
    Buffer.from('data'),
    uint32(size),
    data,
  ]);
  return Buffer.concat([Buffer.from(options.form ?? 'RIFF'), uint32(rest.length), rest]);
}

const RIFF_GUID = Buffer.from('726966662e91cf11a5d628db04c10000', 'hex');
const WAVE_GUID_TAIL = 'f3acd3118cd100c04f8edb8a';

function joinWave64(options: WavOptions, chunks: Chunks, data: Buffer): Buffer {
  const guid = (id: string) => Buffer.concat([Buffer.from(id), Buffer.from(WAVE_GUID_TAIL, 'hex')]);
  const body = chunks.map(({ id, payload }) => {
    const padding = Buffer.alloc((8 - (payload.length % 8)) % 8);
    return Buffer.concat([guid(id), uint64(payload.length + 24), payload, padding]);
  });
  const size = options.dataBytes ?? data.length + 24;
  const rest = Buffer.concat([guid('wave'), ...body, guid('data'), uint64(size), data]);
  return Buffer.concat([RIFF_GUID, uint64(rest.length + 24), rest]);
}

function writeFormat({ kind, sampleRate, channels, isExtensible }: WavOptions): Buffer {
  const format = Buffer.alloc(isExtensible ? 40 : 16);
  const blockBytes = channels.length * SAMPLE_BYTES[kind];
  format.writeUInt16LE(isExtensible ? 0xfffe : FORMAT_TAGS[kind], 0);
  format.writeUInt16LE(channels.length, 2);
  format.writeUInt32LE(sampleRate, 4);
  format.writeUInt32LE((sampleRate * blockBytes) % 2 ** 32, 8);
  format.writeUInt16LE(blockBytes, 12);
  format.writeUInt16LE(SAMPLE_BYTES[kind] * 8, 14);
  if (isExtensible) {
    format.writeUInt16LE(22, 16);
    format.writeUInt16LE(FORMAT_TAGS[kind], 24);
    format.write('000000001000800000aa00389b71', 26, 'hex');
  }
  return format;
}

function writeSamples({ kind, channels }: WavOptions): Buffer {
  const length = channels[0]!.length;
  const bytes = SAMPLE_BYTES[kind];
  const data = Buffer.alloc(length * channels.length * bytes);
  for (let index = 0; index < length; index++) {
    channels.forEach((samples, channel) => {
      const offset = (index * channels.length + channel) * bytes;
      writeSample(data, offset, kind, samples[index]!);
    });
  }
  return data;
}

function writeSample(data: Buffer, offset: number, kind: SampleKind, value: number): void {
  if (kind === 'f32') data.writeFloatLE(value, offset);
  else if (kind === 'f64') data.writeDoubleLE(value, offset);
  else if (kind === 'u8') data.writeUInt8(toInteger(value, 8) + 128, offset);
  else if (kind === 'mulaw') data.writeUInt8(toMuLaw(toInteger(value, 16)), offset);
  else if (kind === 'alaw') data.writeUInt8(toALaw(toInteger(value, 16)), offset);
  else data.writeIntLE(toInteger(value, SAMPLE_BYTES[kind] * 8), offset, SAMPLE_BYTES[kind]);
}

/** The nearest integer sample of a width; zero has no sign. */
export function toInteger(value: number, bits: number): number {
  const fullScale = 2 ** (bits - 1);
  return Math.max(-fullScale, Math.min(fullScale - 1, Math.round(value * fullScale))) + 0;
}

/** G.711 mu-law by its decision levels: 14 bit magnitude, bias 33, eight segments. */
export function toMuLaw(sample: number): number {
  const magnitude = Math.min(8158, Math.abs(sample) >> 2) + 33;
  const segment = Math.floor(Math.log2(magnitude)) - 5;
  const code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0f);
  return ~(sample < 0 ? code | 0x80 : code) & 0xff;
}

/** G.711 A-law by its decision levels: 13 bit magnitude, eight segments, even bits inverted. */
export function toALaw(sample: number): number {
  const magnitude = sample < 0 ? (-sample - 1) >> 3 : sample >> 3;
  const segment = magnitude < 32 ? 0 : Math.floor(Math.log2(magnitude)) - 4;
  const code = (segment << 4) | ((magnitude >> Math.max(1, segment)) & 0x0f);
  return (sample < 0 ? code : code | 0x80) ^ 0x55;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
