/** Magic, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
const MAGIC = [0x93, ...Buffer.from('NUMPY'), 1, 0];
const LENGTH_BYTES = 2;
const ALIGNMENT = 64;

/**
 * What stands before the numbers in a NumPy file of an array in row order.
 *
 * @param descr type of the numbers, as NumPy writes it: `<f4`
 */
export function npyHeader(descr: string, shape: readonly number[]): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const before = MAGIC.length + LENGTH_BYTES;
  // The numbers begin where a multiple of 64 lies; the text ends in a line feed.
  const padded = text.padEnd(
    Math.ceil((before + text.length + 1) / ALIGNMENT) * ALIGNMENT - before - 1,
  );
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16LE(padded.length + 1);
  return Buffer.concat([Buffer.from(MAGIC), length, Buffer.from(`${padded}\n`, 'latin1')]);
}
