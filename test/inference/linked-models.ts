import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** A models folder with links to models that lie elsewhere. */
export class LinkedModels implements Disposable {
  readonly modelsDir = mkdtempSync(join(tmpdir(), 'earshot-models-'));

  constructor(...folders: readonly string[]) {
    for (const folder of folders) symlinkSync(folder, join(this.modelsDir, basename(folder)));
  }

  [Symbol.dispose](): void {
    rmSync(this.modelsDir, { recursive: true });
  }
}
