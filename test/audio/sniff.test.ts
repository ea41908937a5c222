import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { fileTypeFromBuffer } from 'file-type';
import { describe, expect, it } from 'vitest';
import { sniffContent } from '../../src/audio/sniff.js';
import { fixturePath, readFixture } from './clips.js';
import { writePage } from './ogg-writer.js';
import { writeWav } from './wav-writer.js';

const sniff = (bytes: Uint8Array) =>
  sniffContent((offset, length) => bytes.subarray(offset, offset + length));

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const repeated = (text: string, count: number) => Buffer.concat(Array(count).fill(latin1(text)));

/** An ID3v2 tag: its size is written with seven bits to a byte. */
function id3Tag(payloadBytes: number): Buffer {
  const size = [21, 14, 7, 0].map((shift) => (payloadBytes >> shift) & 0x7f);
  return Buffer.concat([
    latin1('ID3\x04\0\0'),
    Buffer.from(size),
    Buffer.alloc(payloadBytes, 0xff),
  ]);
}

const FIXTURES: Readonly<Record<string, readonly [container: string, codec: string]>> = {
  'clock_tick.ogg': ['ogg', 'vorbis'],
  'crying_baby.ogg': ['ogg', 'vorbis'],
  'cymbal.flac': ['flac', 'flac'],
  'dog.ogg': ['ogg', 'vorbis'],
  'dog.opus': ['ogg', 'opus'],
  'dog_16k_s16.wav': ['wav', 'pcm'],
  'dog_22k_ima.wav': ['wav', 'pcm'],
  'dog_22k_lowrate.mp3': ['mp3', 'mp3'],
  'dog_32k.ogg': ['ogg', 'vorbis'],
  'dog_44k.aac': ['adts', 'aac'],
  'dog_44k.mp3': ['mp3', 'mp3'],
  'dog_44k_aac.m4a': ['mp4', 'aac'],
  'dog_44k_f32.wav': ['wav', 'pcm'],
  'dog_48k_stereo_s24.wav': ['wav', 'pcm'],
  'dog_8k_mulaw.wav': ['wav', 'pcm'],
  'dog_8k_u8.wav': ['wav', 'pcm'],
  'dog_96k.flac': ['flac', 'flac'],
  'dog_opus.webm': ['webm', 'opus'],
  'rain.ogg': ['ogg', 'vorbis'],
  'rooster.ogg': ['ogg', 'vorbis'],
  'tabla.flac': ['flac', 'flac'],
};

/** What another program calls the same containers. */
const SECOND_OPINIONS: Readonly<Record<string, readonly string[]>> = {
  ogg: ['audio/ogg', 'audio/ogg; codecs=opus'],
  flac: ['audio/flac'],
  wav: ['audio/wav'],
  mp3: ['audio/mpeg'],
  adts: ['audio/aac'],
  mp4: ['audio/x-m4a'],
  webm: ['video/webm'],
};

describe('sniffContent on real clips', () => {
  it('is tested on all of them', () => {
    const clips = readdirSync(fixturePath('.')).filter((name) => !name.endsWith('.csv'));
    expect(Object.keys(FIXTURES).sort()).toEqual(clips.sort());
  });

  it.each(Object.entries(FIXTURES))('takes %s for %j', async (name, [container, codec]) => {
    const bytes = readFixture(name);
    expect(sniff(bytes)).toMatchObject({ container, codec });
    const second = await fileTypeFromBuffer(bytes);
    expect(SECOND_OPINIONS[container]).toContain(second?.mime);
  });
});

describe('sniffContent', () => {
  const oggPage = (first: string) => writePage({ packets: [latin1(first)], isFirst: true });
  const samples = { kind: 's16', sampleRate: 8_000, channels: [[0, 0]] } as const;

  it.each<[container: string, codec: string, bytes: Buffer]>([
    ['wav', 'pcm', writeWav({ ...samples, form: 'RF64' })],
    ['w64', 'pcm', writeWav({ ...samples, form: 'W64' })],
    ['avi', 'unknown', latin1('RIFF\x24\0\0\0AVI LIST')],
    ['ogg', 'flac', oggPage('\x7fFLAC\x01\0\0\x01fLaC')],
    ['ogg', 'speex', oggPage('Speex   1.2')],
    ['ogg', 'unknown', oggPage('\x80theora')],
    ['matroska', 'flac', latin1('\x1a\x45\xdf\xa3\x42\x82\x88matroska...A_FLAC')],
    ['mp4', 'alac', latin1('\0\0\0\x20ftypM4A \0\0\0\0....stsd....alac')],
    ['mp4', 'unknown', latin1('\0\0\0\x20ftypqt  \0\0\0\0')],
    ['mp4', 'aac', latin1('\0\0\0\x20moov....mp4a')],
    ['aiff', 'pcm', latin1('FORM\0\0\0\x24AIFFCOMM')],
    ['aiff', 'unknown', latin1('FORM\0\0\0\x24AIFCFVER')],
    ['caf', 'unknown', latin1('caff\0\x01\0\0desc')],
    ['au', 'unknown', latin1('.snd\0\0\0\x18')],
    ['amr', 'amr_nb', latin1('#!AMR\n')],
    ['amr', 'amr_wb', latin1('#!AMR-WB\n')],
    ['asf', 'wma', latin1('\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9')],
    ['ac3', 'ac3', latin1('\x0b\x77\0\0\x14')],
    ['wavpack', 'wavpack', latin1('wvpk\0\0\0\0')],
    ['mpegts', 'unknown', repeated(`\x47${'\0'.repeat(187)}`, 6)],
    ['mpegps', 'unknown', latin1('\0\0\x01\xba\x44')],
    ['midi', 'midi', latin1('MThd\0\0\0\x06')],
    ['aiff', 'adpcm_ima_qt', latin1('FORM\0\0\0\x24AIFCFVER....COMM....ima4')],
    ['caf', 'alac', latin1('caff\0\x01\0\0desc\0\0\0\0\0\0\0\x2044100000alac')],
    ['mp4', 'unknown', latin1('\0\0\0\x08wide\0\0\0\0mdat')],
    ['mp4', 'amr_nb', latin1('\0\0\0\x20ftyp3gp4\0\0\0\0....stsd....samr')],
    ['mpegts', 'unknown', repeated(`\0\0\0\0\x47${'\0'.repeat(187)}`, 6)],
    ['dts', 'dts', latin1('\x7f\xfe\x80\x01\xfc\x3c')],
    ['tta', 'tta', latin1('TTA1\x01\0')],
    ['flv', 'unknown', latin1('FLV\x01\x05')],
  ])('takes %s with %s for that', (container, codec, bytes) => {
    expect(sniff(bytes)).toEqual({ container, codec, audioOffset: 0 });
  });

  it('finds what lies behind tags longer than its head', () => {
    for (const name of ['dog_44k.mp3', 'dog_44k.aac', 'tabla.flac', 'dog.ogg']) {
      const clip = readFixture(name);
      const { container, codec, audioOffset } = sniff(clip);
      const tags = Buffer.concat([id3Tag(200_000), id3Tag(5)]);
      expect(sniff(Buffer.concat([tags, clip]))).toEqual({
        container,
        codec,
        audioOffset: audioOffset + tags.length,
      });
    }
  });

  it('finds MPEG audio behind the end of a frame', () => {
    const clip = readFixture('dog_44k.mp3');
    const { audioOffset } = sniff(clip);
    const cut = clip.subarray(audioOffset + 300);
    const found = sniff(cut);
    expect(found).toMatchObject({ container: 'mp3', codec: 'mp3' });
    expect(found.audioOffset).toBeGreaterThan(0);
    expect(found.audioOffset).toBeLessThan(1_000);
  });

  it.each([
    ['text', latin1('Lorem ipsum dolor sit amet. '.repeat(200))],
    ['a page', latin1('<!DOCTYPE html><html></html>')],
    ['a picture', latin1('\x89PNG\r\n\x1a\n\0\0\0\rIHDR')],
    ['an archive', latin1('PK\x03\x04\x14\0\0\0')],
    ['a program', latin1('\x7fELF\x02\x01\x01')],
    ['a playlist', latin1('#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n')],
    ['RIFF that is no sound', latin1('RIFF\x24\0\0\0WEBPVP8 ')],
    ['half a mark', latin1('fLa')],
    ['a tag and nothing else', id3Tag(40)],
    ['a tag that goes on beyond the end', latin1('ID3\x04\0\0\x7f\x7f\x7f\x7f')],
    ['ones', Buffer.alloc(5_000, 0xff)],
    ['zeros', Buffer.alloc(5_000)],
    ['nothing', Buffer.alloc(0)],
  ])('takes %s for nothing it knows', (_, bytes) => {
    expect(sniff(bytes)).toEqual({ container: 'unknown', codec: 'unknown', audioOffset: 0 });
  });

  it('takes no noise for MPEG audio', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4_000, maxLength: 8_000 }), (bytes) => {
        // A first byte that begins no other format.
        expect(sniff(Uint8Array.from([0x21, ...bytes])).container).toBe('unknown');
      }),
      { numRuns: 200 },
    );
  });
});
