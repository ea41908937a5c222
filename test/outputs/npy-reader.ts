/** Reads NumPy files, written from the description of the format alone. */

export interface NpyFile {
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly body: Buffer;
}

export function parseNpy(file: Buffer): NpyFile {
  if (file.subarray(0, 8).toString('latin1') !== '\x93NUMPY\x01\x00')
    throw new Error('Expected a NumPy file, version 1.0');
  const end = 10 + file.readUInt16LE(8);
  const text = file.subarray(10, end).toString('latin1');
  const [, type = ''] = /'descr': '([^']+)'/.exec(text) ?? [];
  const [, sizes = ''] = /'shape': \(([^)]*)\)/.exec(text) ?? [];
  const [, order] = /'fortran_order': (\w+)/.exec(text) ?? [];
  if (order !== 'False') throw new Error(`Expected rows one after the other, got ${text}`);
  const shape = sizes
    .split(',')
    .filter((size) => size.trim() !== '')
    .map(Number);
  const body = file.subarray(end);
  return { shape, body, values: valuesOf(body, type) };
}

function valuesOf(body: Buffer, type: string): number[] {
  const width = Number(type.slice(2));
  const read: Record<string, (at: number) => number> = {
    '<f4': (at) => body.readFloatLE(at),
    '<f2': (at) => float16(body.readUInt16LE(at)),
    '|i1': (at) => body.readInt8(at),
    '|u1': (at) => body.readUInt8(at),
  };
  const readOne = read[type];
  if (readOne === undefined) throw new Error(`Unknown type ${type}`);
  return Array.from({ length: body.length / width }, (_, i) => readOne(i * width));
}

function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
