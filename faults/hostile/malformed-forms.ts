/** Multipart bodies that are wrong in one way each. */
import type { NamedFile } from './forgeries.js';

export const BOUNDARY = 'xxBOUNDARYxx';
const END = `--${BOUNDARY}--\r\n`;

/** @param clip a good recording; @param maxFiles more of them are too many; @param maxBytes of all files together */
export function malformedForms(
  clip: Buffer,
  { maxFiles, maxBytes }: { maxFiles: number; maxBytes: number },
): NamedFile[] {
  const sound = file('sound', clip);
  return [
    ...broken(),
    ...overlong(),
    ...misnamed(),
    form('a boundary over and over', `--${BOUNDARY}\r\n`.repeat(20_000), END),
    form('almost boundaries', `\r\n--${BOUNDARY.slice(0, -1)}`.repeat(100_000), END),
    form('almost boundaries in a file', file('x', Buffer.from('\r\n--xxBOUND'.repeat(50_000)))),
    form('line ends and nothing else', '\r\n'.repeat(300_000)),
    form('one file too many', ...Array<Buffer>(maxFiles + 1).fill(sound), END),
    form('one byte too many', file('x', Buffer.alloc(maxBytes + 1)), END),
    form('text before the first part', 'x'.repeat(300_000)),
    form('a sound in another field', field('sound"; filename="x', clip.toString('latin1')), END),
    form('two kinds of file', sound, field('file', 'dog.ogg'), field('top_k[0]', '1'), END),
  ];
}

function broken(): NamedFile[] {
  const head = 'Content-Disposition: form-data; name="file"; filename="x"';
  return [
    form('nothing'),
    form('no end', `--${BOUNDARY}\r\n${head}\r\n\r\nabc`),
    form('an end and nothing else', END),
    form('not a form', 'abc'),
    form('another boundary', `--other\r\n${head}\r\n\r\nabc\r\n--other--\r\n`),
    form('a head without end', `--${BOUNDARY}\r\n${head}`),
    form('a head without colon', `--${BOUNDARY}\r\nContent-Disposition\r\n\r\nabc\r\n`, END),
    form('a head of zeros', `--${BOUNDARY}\r\n${'\0'.repeat(500)}\r\n\r\nabc\r\n`, END),
    form(
      'no name',
      `--${BOUNDARY}\r\nContent-Disposition: form-data; filename="x"\r\n\r\na\r\n`,
      END,
    ),
    form('line feeds alone', `--${BOUNDARY}\n${head}\n\nabc\n--${BOUNDARY}--\n`),
    form('no head', `--${BOUNDARY}\r\n\r\nabc\r\n`, END),
    form(
      'an unknown encoding',
      `--${BOUNDARY}\r\n${head.replace('file"', 'model"').replace('; filename="x"', '')}\r\nContent-Transfer-Encoding: x\r\n\r\na\r\n`,
      END,
    ),
    form('a cut-off end', field('model', 'tiny'), `--${BOUNDARY}-`),
  ];
}

function overlong(): NamedFile[] {
  const many = Array.from({ length: 30 }, (_, i) => `X-${i}: y\r\n`).join('');
  const disposition = 'Content-Disposition: form-data; name="model"\r\n';
  return [
    form('a long name', field('n'.repeat(200), '1'), END),
    form('a very long name', field('n'.repeat(100_000), '1'), END),
    form('a long value', field('model', 'v'.repeat(20_000)), END),
    form('many fields', ...Array<string>(200).fill(field('model', 'x')), END),
    form('many empty parts', `--${BOUNDARY}\r\n${disposition}\r\n\r\n`.repeat(5000), END),
    form('many lines in a head', `--${BOUNDARY}\r\n${disposition}${many}\r\nx\r\n`, END),
    form('a head of 200 KB', `--${BOUNDARY}\r\nX: ${'y'.repeat(200_000)}\r\n\r\nx\r\n`, END),
  ];
}

function misnamed(): NamedFile[] {
  const nested = `model${'[a]'.repeat(300)}`;
  const names = ['__proto__', 'constructor', '__proto__[x]', 'top_k[a][b]', 'top_k[99999999]'];
  return [...names, 'model[]', 'model[__proto__][x]', nested, '', 'model\0'].map((name) =>
    form(`the name ${name.slice(0, 30)}`, field(name, '1'), END),
  );
}

const form = (name: string, ...parts: (string | Buffer)[]): NamedFile => ({
  name,
  bytes: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))),
});

const field = (name: string, value: string): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;

function file(name: string, content: Buffer): Buffer {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), content, Buffer.from('\r\n')]);
}
