import { extname } from 'node:path';

/**
 * URL of a file that is started as a process or thread of its own.
 *
 * The extension is the caller's: `.js` in `dist/`, `.ts` when the sources run through tsx.
 *
 * @param relativePath without extension, such as `./engine`
 * @param callerUrl `import.meta.url` of the caller
 */
export function entryPoint(relativePath: string, callerUrl: string): URL {
  const extension = extname(new URL(callerUrl).pathname);
  return new URL(`${relativePath}${extension}`, callerUrl);
}
