import { byId } from './elements.js';
import type { Limits } from './service.js';
import type { Sound } from './sound.js';
import { duration } from './time.js';

/** Known before a byte was sent. */
export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
}

/** Says beforehand what the service takes. */
export function showLimits(limits: Limits): void {
  const [size, length] = [megabytes(limits.max_upload_bytes), duration(limits.max_clip_seconds)];
  byId('limits', HTMLParagraphElement).textContent = `Up to ${size} and ${length}`;
}

/**
 * @param limits undefined where the service could not be asked: it will refuse by itself then
 * @throws TooLargeError
 */
export function assertFits({ name, bytes }: Sound, limits: Limits | undefined): void {
  if (limits === undefined || bytes.size <= limits.max_upload_bytes) return;
  const most = megabytes(limits.max_upload_bytes);
  const got = megabytes(bytes.size);
  const size = got === most ? `${bytes.size} bytes` : got;
  throw new TooLargeError(`Expected at most ${most}, ${name} has ${size}. Nothing was sent.`);
}

const megabytes = (bytes: number): string =>
  `${(bytes / 2 ** 20).toFixed(1).replace(/\.0$/, '')} MiB`;
