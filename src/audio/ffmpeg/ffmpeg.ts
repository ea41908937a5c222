import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The ffmpeg of the system, found and asked for its version. */
export interface Ffmpeg {
  readonly path: string;
  readonly version: string;
  /** Limits what it may use of the machine; undefined where util-linux is not there. */
  readonly prlimitPath: string | undefined;
  /** Empty: where it runs. */
  readonly folder: string;
  /** Removes the folder. */
  close(): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;

/**
 * Makes ffmpeg ready for use.
 *
 * @throws Error that says why the program at `path` does not do
 */
export async function openFfmpeg({
  path,
  prlimitPath,
}: {
  path: string;
  prlimitPath: string | undefined;
}): Promise<Ffmpeg> {
  const version = await readVersion(path);
  const folder = await mkdtemp(join(tmpdir(), 'earshot-ffmpeg-'));
  const close = () => rm(folder, { recursive: true, force: true });
  return { path, version, prlimitPath, folder, close };
}

async function readVersion(path: string): Promise<string> {
  const options = { timeout: START_TIMEOUT_MS, env: {} };
  const { stdout } = await promisify(execFile)(path, ['-hide_banner', '-version'], options);
  const [, version] = /^ffmpeg version (\S+)/.exec(stdout) ?? [];
  if (version === undefined) throw new Error(`${path} does not say which version of ffmpeg it is`);
  return version;
}
