/** Files that say that they are something else than they are, or that point at other files and hosts. */
import { gzipSync } from 'node:zlib';
import { tone } from '../../test/audio/signals.js';
import { writeWav } from '../../test/audio/wav-writer.js';

export interface NamedFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Half a second of a tone. */
const wav = (): Buffer => {
  const channels = [tone({ hz: 440, amplitude: 0.5, sampleRate: 8000, seconds: 0.5 })];
  return writeWav({ kind: 's16', sampleRate: 8000, channels });
};

/** @param listenerUrl of a server that must never be asked */
export function forgeries(listenerUrl: string): NamedFile[] {
  return [...playlists(listenerUrl), ...polyglots(), ...noAudio(), ...lyingWaves()];
}

const file = (name: string, ...parts: (string | Buffer)[]): NamedFile => ({
  name,
  bytes: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))),
});

function playlists(url: string): NamedFile[] {
  const target = `${url}/a.ts`;
  return [
    file('playlist: m3u', `#EXTM3U\n#EXTINF:1,\n${target}\n/etc/passwd\n`),
    file('playlist: HLS of a local file', hls('file:///etc/passwd')),
    file('playlist: HLS of a host', hls(target)),
    file('playlist: HLS of parts in one', hls(`concat:/etc/passwd|${target}`)),
    file(
      'playlist: HLS with a key of a host',
      hls('a.ts', `#EXT-X-KEY:METHOD=AES-128,URI="${url}/k"\n`),
    ),
    file('playlist: HLS behind a wave', wav(), hls(target)),
    file('playlist: ffconcat', `ffconcat version 1.0\nfile '/etc/passwd'\nfile '${target}'\n`),
    file('playlist: pls', `[playlist]\nFile1=${target}\nNumberOfEntries=1\n`),
    file('playlist: asx', `<asx version="3"><entry><ref href="${target}"/></entry></asx>`),
    file(
      'playlist: xspf',
      `<?xml version="1.0"?><playlist><location>${target}</location></playlist>`,
    ),
    file('playlist: smil', `<smil><body><audio src="${target}"/></body></smil>`),
    file('playlist: dash', `<?xml version="1.0"?><MPD><BaseURL>${url}/</BaseURL></MPD>`),
    file('playlist: sdp', 'v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n'),
    file('playlist: mp4 that refers to a file', referringMp4('file:///etc/passwd')),
    file('playlist: mp4 that refers to a host', referringMp4(target)),
    file(
      'playlist: svg',
      `<svg xmlns="http://www.w3.org/2000/svg"><image href="${target}"/></svg>`,
    ),
    file('playlist: entity', `<!DOCTYPE a [<!ENTITY b SYSTEM "${target}">]><a>&b;</a>`),
  ];
}

function hls(target: string, key = ''): string {
  return `#EXTM3U\n#EXT-X-TARGETDURATION:1\n${key}#EXTINF:1,\n${target}\n#EXT-X-ENDLIST\n`;
}

/** A film whose sound lies, as it says, elsewhere. */
function referringMp4(target: string): Buffer {
  const version = Buffer.alloc(4);
  const url = atom('url ', version, Buffer.from(`${target}\0`));
  const count = Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]);
  const stbl = atom('stbl', atom('stsd', count, atom('mp4a', Buffer.alloc(28))));
  const minf = atom('minf', atom('dinf', atom('dref', count, url)), stbl);
  const moov = atom('moov', atom('trak', atom('mdia', minf)));
  return Buffer.concat([
    atom('ftyp', Buffer.from('M4A \0\0\0\0')),
    moov,
    atom('mdat', Buffer.alloc(64)),
  ]);
}

function atom(type: string, ...content: readonly Buffer[]): Buffer {
  const payload = Buffer.concat(content);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(payload.length + 8);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, payload]);
}

const EMPTY_ZIP = Buffer.from('504b0506000000000000000000000000000000000000', 'hex');
const MP3_FRAME = Buffer.concat([Buffer.from('fffb9064', 'hex'), Buffer.alloc(413)]);

function polyglots(): NamedFile[] {
  return [
    file('polyglot: wave and zip', wav(), EMPTY_ZIP),
    file('polyglot: page in a wave', htmlInWave()),
    file('polyglot: pdf and mp3', '%PDF-1.7\n', MP3_FRAME, MP3_FRAME, MP3_FRAME, '%%EOF'),
    file('polyglot: gif and mp3', 'GIF89a', Buffer.alloc(7), MP3_FRAME, MP3_FRAME),
    file('polyglot: tag of pages and mp3', id3('<script>alert(1)</script>'), MP3_FRAME, MP3_FRAME),
    file('polyglot: wave behind a tag', id3('x'), wav()),
    file('polyglot: wave in ogg', 'OggS', wav()),
    file('polyglot: shell and wave', '#!/bin/sh\nexit 1\n', wav()),
    file('polyglot: flac and wave', 'fLaC', wav()),
    file('polyglot: many tags', ...Array<Buffer>(200).fill(id3('')), MP3_FRAME),
  ];
}

function htmlInWave(): Buffer {
  const payload = Buffer.from('<html><script src="//x"></script></html>');
  const channels = [Float32Array.of(0, 0.5, 0, -0.5)];
  return writeWav({ kind: 'u8', sampleRate: 8000, channels, chunks: [{ id: 'LIST', payload }] });
}

function id3(content: string): Buffer {
  const payload = Buffer.from(content.padEnd(100));
  return Buffer.concat([
    Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 0, payload.length]),
    payload,
  ]);
}

function noAudio(): NamedFile[] {
  return [
    file('no audio: nothing at all'),
    file('no audio: one byte', 'R'),
    file('no audio: text', 'This is no recording.\n'.repeat(50)),
    file('no audio: program', '\x7fELF', Buffer.alloc(500)),
    file('no audio: Windows program', 'MZ', Buffer.alloc(500)),
    file('no audio: gzip of a wave', gzipSync(wav())),
    file('no audio: gzip of zeros', gzipSync(Buffer.alloc(1_000_000))),
    file('no audio: zip', EMPTY_ZIP),
    file('no audio: json', '['.repeat(50_000)),
    file('no audio: page', '<!doctype html><title>x</title>'),
    file('no audio: png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), Buffer.alloc(99)),
    file('no audio: zeros', Buffer.alloc(100_000)),
    file('no audio: ones', Buffer.alloc(100_000, 0xff)),
    file('no audio: syncs without frames', Buffer.from('fffb'.repeat(20_000), 'hex')),
    file('no audio: pages without packets', 'OggS'.repeat(10_000)),
    file('no audio: steps of a transport stream', transportSteps()),
  ];
}

/** Sync bytes where a transport stream has them, and nothing else. */
function transportSteps(): Buffer {
  const bytes = Buffer.alloc(188 * 20);
  for (let at = 0; at < bytes.length; at += 188) bytes[at] = 0x47;
  return bytes;
}

/** Fields of a wave's format chunk: place, width in bytes, and what is written there. */
const WAVE_LIES: readonly (readonly [
  name: string,
  at: number,
  width: number,
  numbers: number[],
])[] = [
  ['size of the file', 4, 4, [0, 0xffffffff]],
  ['size of the format', 16, 4, [0, 15, 17, 0xffffffff]],
  ['kind of samples', 20, 2, [0, 2, 0xfffe, 0xffff]],
  ['channels', 22, 2, [0, 2, 64, 65, 0xffff]],
  ['rate', 24, 4, [0, 1, 768_000, 768_001, 0xffffffff]],
  ['block', 32, 2, [0, 1, 3, 0xffff]],
  ['width', 34, 2, [0, 1, 7, 12, 64, 0xffff]],
  ['size of the samples', 40, 4, [0, 1, 3, 0x7fffffff, 0xffffffff]],
];

function lyingWaves(): NamedFile[] {
  return WAVE_LIES.flatMap(([field, at, width, numbers]) =>
    numbers.map((number) => {
      const bytes = wav();
      bytes.writeUIntLE(number, at, width);
      return { name: `lying wave: ${field} ${number}`, bytes };
    }),
  );
}
