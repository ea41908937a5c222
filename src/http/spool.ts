import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Readable, Transform, type Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { ServiceError } from '../errors.js';

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const OUR_NAME = /^earshot-([0-9a-f]{8})-(\d+)-[0-9a-f-]{36}\.upload$/;

/** Opens a file that must not exist yet. */
export type OpenFile = (path: string) => Writable;

const openNew: OpenFile = (path) => createWriteStream(path, { flags: 'wx', mode: 0o600 });

/** The folder where uploads lie while they are worked on. Names are ours; nothing of a client is in them. */
export class Spool {
  readonly #folder: string;
  readonly #open: OpenFile;

  constructor(folder: string, open: OpenFile = openNew) {
    this.#folder = folder;
    this.#open = open;
  }

  /** A path that no other upload has. The process stands in it for `sweep`. */
  newPath(): string {
    return join(this.#folder, `earshot-${HOST}-${process.pid}-${randomUUID()}.upload`);
  }

  /**
   * Writes a stream to `path`. The source is left alive when that fails, so that the request it
   * belongs to can still be answered; what it still brings is dropped. The file is closed when this
   * comes back, with an error too, so that it can be deleted for good.
   *
   * @param onBytes called with the length of each piece before it is written; may throw to stop
   * @throws ServiceError `storage_full` · whatever `onBytes` threw · the signal's reason
   */
  async write(
    source: Readable,
    path: string,
    { onBytes, signal }: { onBytes: (bytes: number) => void; signal: AbortSignal },
  ): Promise<void> {
    const counter = counting(onBytes);
    finished(source, { writable: false }).catch((error) => counter.destroy(error));
    const file = this.#open(path);
    // `pipeline` may fail before the file is open: who deletes it then would have it made afterwards.
    const closed = new Promise((resolve) => file.once('close', resolve));
    source.pipe(counter);
    try {
      await pipeline(counter, file, { signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : toStorageError(error);
    } finally {
      source.unpipe(counter);
      source.resume();
      await closed;
    }
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true });
  }

  /**
   * Makes the folder, and deletes what earlier processes left in it: those that were killed could not.
   *
   * Only files named by this service are touched, and of those only what no one can be using: the
   * process that wrote it is gone from this host, or the file is older than any request may get.
   *
   * @returns number of files deleted
   */
  async sweep({ maxAgeMs }: { maxAgeMs: number }): Promise<number> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    let deleted = 0;
    for (const name of await readdir(this.#folder)) {
      if (!(await isLeftOver(join(this.#folder, name), OUR_NAME.exec(name), maxAgeMs))) continue;
      await this.remove(join(this.#folder, name));
      deleted += 1;
    }
    return deleted;
  }
}

function counting(onBytes: (bytes: number) => void): Transform {
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      try {
        onBytes(piece.length);
        done(null, piece);
      } catch (error) {
        done(error as Error);
      }
    },
  });
}

function toStorageError(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new ServiceError('storage_full', 'The disk that takes uploads is full', {
    retry_after_seconds: 5,
  });
}

async function isLeftOver(
  path: string,
  ourName: RegExpExecArray | null,
  maxAgeMs: number,
): Promise<boolean> {
  if (ourName === null) return false;
  const [, host, pid] = ourName;
  // Our own number: it belonged to a process before this one, as process 1 of a container does.
  if (host === HOST && (Number(pid) === process.pid || !isAlive(Number(pid)))) return true;
  const modified = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.NaN,
  );
  return Date.now() - modified > maxAgeMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
