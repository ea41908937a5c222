import { setFloat16 } from '@petamoriken/float16';

/** Width of a number in bytes, by its type. */
const BYTES = { float32: 4, float16: 2 } as const;

/**
 * Numbers as bytes, little-endian on every machine.
 *
 * float16 is rounded to the nearest; beyond 65 504 it is infinite.
 */
export function toFloatBytes(
  values: ArrayLike<number>,
  type: 'float32' | 'float16',
): Uint8Array<ArrayBuffer> {
  const width = BYTES[type];
  const bytes = new Uint8Array(values.length * width);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (type === 'float32') view.setFloat32(i * width, value, true);
    else setFloat16(view, i * width, value, true);
  }
  return bytes;
}
