import process from 'node:process';
import { describe } from 'vitest';
import { loadConfig } from '../../src/config.js';

const { ffmpegPath: found, prlimitPath } = loadConfig();
if (found === undefined && !process.env.CI) {
  process.stderr.write('No ffmpeg on PATH: tests that need it are skipped\n');
}

export { prlimitPath };

/** The ffmpeg of this machine; a name that fails where there is none. */
export const ffmpegPath = found ?? 'ffmpeg-is-missing';

/** Tests that need it: skipped where there is none, but never in continuous integration. */
export const describeWithFfmpeg = describe.skipIf(found === undefined && !process.env.CI);
