/** Which decoders are to die, on disk, since threads and programs have to find it. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class DeathNotes implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'earshot-deaths-'));
  #numWritten = 0;

  /** So many decoders, one after the other, are to die of this clip. */
  write(clip: Uint8Array, deaths: number): void {
    for (let death = 1; death <= deaths; death++)
      writeFileSync(noteOf(this.folder, clip, death), '');
    this.#numWritten += deaths;
  }

  /** Decoders that have died. */
  get numDeaths(): number {
    return this.#numWritten - readdirSync(this.folder).filter((name) => NOTE.test(name)).length;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

const NOTE = /^[0-9a-f]{64}\.[12]$/;

/** Whether whoever decodes this clip is to die now; asked again, the next one. */
export function isToDie(folder: string, clip: Uint8Array): boolean {
  return [2, 1].some((death) => {
    try {
      unlinkSync(noteOf(folder, clip, death));
      return true;
    } catch {
      return false;
    }
  });
}

const noteOf = (folder: string, clip: Uint8Array, death: number): string =>
  join(folder, `${createHash('sha256').update(clip).digest('hex')}.${death}`);
