import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A program that is ffmpeg, but for clips that are to kill it.
 *
 * @returns its path
 */
export function writeDyingFfmpeg(ffmpegPath: string, deathsFolder: string): string {
  const path = join(deathsFolder, 'ffmpeg');
  const script = `#!/bin/sh
for word; do case "$word" in file:*) clip="\${word#file:}" ;; esac; done
if [ -n "$clip" ]; then
  note="${deathsFolder}/$(sha256sum < "$clip" | cut -c 1-64)"
  if rm "$note.2" 2>/dev/null || rm "$note.1" 2>/dev/null; then kill -9 $$; fi
fi
exec '${ffmpegPath}' "$@"
`;
  writeFileSync(path, script, { mode: 0o700 });
  return path;
}
