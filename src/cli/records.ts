import { createReadStream } from 'node:fs';

/** A record of a text file and where it ends. */
export interface TextRecord {
  /** Without the line feed. */
  readonly text: string;
  /** Bytes of the file up to and with the line feed. */
  readonly endBytes: number;
}

const LINE_FEED = 10;
const QUOTE = 34;

/**
 * The complete records of a file, read piece by piece; what stands behind the last line feed is not one.
 *
 * @param hasQuotes a line feed between quotes belongs to the record, as in RFC 4180
 */
export async function* readRecords(
  path: string,
  { hasQuotes }: { hasQuotes: boolean },
): AsyncGenerator<TextRecord> {
  let [rest, restStart, searched, isQuoted] = [Buffer.alloc(0), 0, 0, false];
  for await (const piece of createReadStream(path)) {
    rest = Buffer.concat([rest, piece as Buffer]);
    let start = 0;
    for (let at = searched; at < rest.length; at++) {
      if (hasQuotes && rest[at] === QUOTE) isQuoted = !isQuoted;
      if (rest[at] !== LINE_FEED || isQuoted) continue;
      yield { text: toText(rest.subarray(start, at)), endBytes: restStart + at + 1 };
      start = at + 1;
    }
    rest = rest.subarray(start);
    restStart += start;
    searched = rest.length;
  }
}

const toText = (bytes: Buffer): string => bytes.toString('utf8').replace(/\r$/, '');
