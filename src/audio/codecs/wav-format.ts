import { ServiceError } from '../../errors.js';
import { viewOf } from './byte-reader.js';
import {
  A_LAW_LAYOUTS,
  FLOAT_LAYOUTS,
  INTEGER_LAYOUTS,
  MU_LAW_LAYOUTS,
  type PcmLayout,
} from './pcm.js';
import { unsupportedFormat } from './unsupported-format.js';

const MAX_CHANNELS = 64;
const [MIN_RATE_HZ, MAX_RATE_HZ] = [1_000, 768_000];

const EXTENSIBLE_TAG = 0xfffe;
/** What follows the tag in the GUID of an EXTENSIBLE sub-format. */
const GUID_TAIL = '000000001000800000aa00389b71';

/** Layouts by format tag, then by bytes per sample. */
const LAYOUTS: Readonly<Record<number, Readonly<Record<number, PcmLayout>>>> = {
  1: INTEGER_LAYOUTS,
  3: FLOAT_LAYOUTS,
  6: A_LAW_LAYOUTS,
  7: MU_LAW_LAYOUTS,
};

/** Names of tags that are recognised only to be refused by name. */
const OTHER_CODECS: Readonly<Record<number, string>> = {
  2: 'adpcm_ms',
  17: 'adpcm_ima_wav',
  49: 'gsm_ms',
  80: 'mp2',
  85: 'mp3',
  255: 'aac',
  352: 'wmav1',
  353: 'wmav2',
};

/** What the `fmt ` chunk of a WAV file says. */
export interface WavFormat extends PcmLayout {
  readonly sampleRate: number;
  readonly numChannels: number;
}

/**
 * Reads and checks the payload of a `fmt ` chunk.
 *
 * @param bytes 16 to 40 bytes; more is ignored
 * @throws ServiceError unsupported_format for codecs that are not PCM, undecodable_audio for impossible values
 */
export function parseWavFormat(bytes: Uint8Array, container: string): WavFormat {
  if (bytes.length < 16) throw refusal(`a format chunk of 16 bytes, got ${bytes.length}`);
  const view = viewOf(bytes);
  const tag = view.getUint16(0, true);
  const numChannels = view.getUint16(2, true);
  const sampleRate = view.getUint32(4, true);
  const blockBytes = view.getUint16(12, true);
  const bits = view.getUint16(14, true);
  const layouts = LAYOUTS[tag === EXTENSIBLE_TAG ? subFormatTag(bytes) : tag];
  if (!layouts) throw unsupportedFormat({ container, codec: codecName(tag) });
  assertWithin(numChannels, [1, MAX_CHANNELS], 'channels');
  assertWithin(sampleRate, [MIN_RATE_HZ, MAX_RATE_HZ], 'Hz');
  const layout = layouts[Math.ceil(bits / 8)];
  if (!layout) throw refusal(`samples of a known width, got ${bits} bits`);
  if (blockBytes !== numChannels * layout.bytesPerSample) {
    const expected = `${numChannels} x ${layout.bytesPerSample} bytes`;
    throw refusal(`blocks of ${expected} in the WAV header, got ${blockBytes}`);
  }
  return { ...layout, sampleRate, numChannels };
}

function subFormatTag(bytes: Uint8Array): number {
  if (bytes.length < 40)
    throw refusal(`an extensible format chunk of 40 bytes, got ${bytes.length}`);
  const tail = Buffer.from(bytes.subarray(26, 40)).toString('hex');
  return tail === GUID_TAIL ? viewOf(bytes).getUint16(24, true) : EXTENSIBLE_TAG;
}

const codecName = (tag: number): string =>
  OTHER_CODECS[tag] ?? `wav_format_0x${tag.toString(16).padStart(4, '0')}`;

function assertWithin(value: number, [min, max]: readonly [number, number], unit: string): void {
  if (value >= min && value <= max) return;
  throw refusal(`${min} to ${max} ${unit} in the WAV header, got ${value}`);
}

const refusal = (expectedAndGot: string): ServiceError =>
  new ServiceError('undecodable_audio', `Expected ${expectedAndGot}`);
