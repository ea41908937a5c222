import { asciiOf } from './codecs/byte-reader.js';
import type { ClipContent } from './sniff.js';

type Found = Pick<ClipContent, 'container' | 'codec'>;

interface Magic {
  readonly at: number;
  readonly text: string;
  readonly find: (head: Uint8Array) => Found | undefined;
}

function findRiff(head: Uint8Array): Found | undefined {
  const form = asciiOf(head, 8, 12);
  if (form === 'WAVE') return { container: 'wav', codec: 'pcm' };
  return form === 'AVI ' ? { container: 'avi', codec: 'unknown' } : undefined;
}

function findAiff(head: Uint8Array): Found | undefined {
  const form = asciiOf(head, 8, 12);
  if (form === 'AIFF') return { container: 'aiff', codec: 'pcm' };
  return form === 'AIFC' ? findByText(head, 'aiff', AIFF_CODECS) : undefined;
}

/** Names of codecs by text that stands in the head of a container. */
type CodecTexts = readonly (readonly [text: string, codec: string])[];

const AIFF_CODECS: CodecTexts = [
  ['sowt', 'pcm'],
  ['NONE', 'pcm'],
  ['twos', 'pcm'],
  ['fl32', 'pcm'],
  ['FL32', 'pcm'],
  ['ulaw', 'pcm_mulaw'],
  ['alaw', 'pcm_alaw'],
  ['ima4', 'adpcm_ima_qt'],
];
const CAF_CODECS: CodecTexts = [
  ['lpcm', 'pcm'],
  ['alac', 'alac'],
  ['aac ', 'aac'],
  ['ulaw', 'pcm_mulaw'],
  ['alaw', 'pcm_alaw'],
  ['opus', 'opus'],
  ['ima4', 'adpcm_ima_qt'],
];
const OGG_CODECS: CodecTexts = [
  ['\x01vorbis', 'vorbis'],
  ['OpusHead', 'opus'],
  ['\x7fFLAC', 'flac'],
  ['Speex   ', 'speex'],
];
const MATROSKA_CODECS: CodecTexts = [
  ['A_OPUS', 'opus'],
  ['A_VORBIS', 'vorbis'],
  ['A_FLAC', 'flac'],
  ['A_AAC', 'aac'],
  ['A_MPEG/L3', 'mp3'],
  ['A_PCM', 'pcm'],
  ['A_ALAC', 'alac'],
  ['A_EAC3', 'eac3'],
  ['A_AC3', 'ac3'],
  ['A_DTS', 'dts'],
  ['A_WAVPACK4', 'wavpack'],
];
const MP4_CODECS: CodecTexts = [
  ['mp4a', 'aac'],
  ['alac', 'alac'],
  ['Opus', 'opus'],
  ['fLaC', 'flac'],
  ['ac-3', 'ac3'],
  ['.mp3', 'mp3'],
  ['sowt', 'pcm'],
  ['twos', 'pcm'],
  ['lpcm', 'pcm'],
  ['samr', 'amr_nb'],
  ['sawb', 'amr_wb'],
  ['ec-3', 'eac3'],
];

const findOgg = (head: Uint8Array): Found => findByText(head, 'ogg', OGG_CODECS);
const findMp4 = (head: Uint8Array): Found => findByText(head, 'mp4', MP4_CODECS);
const findCaf = (head: Uint8Array): Found => findByText(head.subarray(0, 64), 'caf', CAF_CODECS);
const findMatroska = (head: Uint8Array): Found => {
  const isWebm = latin1(head.subarray(0, 64)).includes('webm');
  return findByText(head, isWebm ? 'webm' : 'matroska', MATROSKA_CODECS);
};

function findByText(head: Uint8Array, container: string, texts: CodecTexts): Found {
  const text = latin1(head);
  const codec = texts.find(([mark]) => text.includes(mark))?.[1] ?? 'unknown';
  return { container, codec };
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

const is = (container: string, codec: string) => () => ({ container, codec });

/** Formats that begin with fixed bytes, here as Latin-1 text. */
const MAGICS: readonly Magic[] = [
  { at: 0, text: 'RIFF', find: findRiff },
  { at: 0, text: 'RF64', find: findRiff },
  { at: 0, text: 'BW64', find: findRiff },
  { at: 0, text: 'riff\x2e\x91\xcf\x11', find: is('w64', 'pcm') },
  { at: 0, text: 'fLaC', find: is('flac', 'flac') },
  { at: 0, text: 'OggS', find: findOgg },
  { at: 0, text: '\x1a\x45\xdf\xa3', find: findMatroska },
  { at: 4, text: 'ftyp', find: findMp4 },
  { at: 4, text: 'moov', find: findMp4 },
  { at: 4, text: 'mdat', find: findMp4 },
  { at: 4, text: 'wide', find: findMp4 },
  { at: 4, text: 'skip', find: findMp4 },
  { at: 0, text: 'FORM', find: findAiff },
  { at: 0, text: 'caff', find: findCaf },
  { at: 0, text: '.snd', find: is('au', 'unknown') },
  { at: 0, text: '#!AMR-WB', find: is('amr', 'amr_wb') },
  { at: 0, text: '#!AMR', find: is('amr', 'amr_nb') },
  { at: 0, text: '\x30\x26\xb2\x75\x8e\x66\xcf\x11', find: is('asf', 'wma') },
  { at: 0, text: '\x0b\x77', find: is('ac3', 'ac3') },
  { at: 0, text: 'wvpk', find: is('wavpack', 'wavpack') },
  { at: 0, text: 'MAC ', find: is('ape', 'ape') },
  { at: 0, text: 'TTA1', find: is('tta', 'tta') },
  { at: 0, text: '\x7f\xfe\x80\x01', find: is('dts', 'dts') },
  { at: 0, text: 'FLV\x01', find: is('flv', 'unknown') },
  { at: 0, text: 'MThd', find: is('midi', 'midi') },
  { at: 0, text: '\x00\x00\x01\xba', find: is('mpegps', 'unknown') },
];

/** The format whose fixed bytes stand in the head of a clip, if any. */
export function findMagic(head: Uint8Array): Found | undefined {
  for (const { at, text, find } of MAGICS) {
    const found = asciiOf(head, at, at + text.length) === text && find(head);
    if (found) return found;
  }
  return undefined;
}
