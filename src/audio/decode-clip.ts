import { ServiceError } from '../errors.js';
import { ClipBuilder, type ClipLimits } from './clip-builder.js';
import { ClipFile } from './clip-file.js';
import { chooseCodec } from './codecs/choose-codec.js';
import { type ClipContent, sniffContent } from './sniff.js';
import type { Waveform } from './waveform.js';

/** What the clip was before it was decoded. */
export interface ClipFormat {
  readonly container: string;
  readonly codec: string;
  readonly decoder: string;
  readonly sampleRate: number;
  readonly channels: number;
  readonly durationSeconds: number;
}

export interface DecodedClip {
  /** Mono, at the target rate. */
  readonly waveform: Waveform;
  readonly format: ClipFormat;
  /** Time for reading, decoding and mixing, without resampling. */
  readonly decodeMs: number;
  readonly resampleMs: number;
}

/**
 * Decodes one clip in this thread, which is busy until it is done.
 *
 * @throws ServiceError unsupported_format, undecodable_audio, empty_audio, clip_too_long; nothing else for any bytes
 */
export async function decodeClip(path: string, limits: ClipLimits): Promise<DecodedClip> {
  const file = new ClipFile(path);
  try {
    if (file.sizeBytes === 0) throw new ServiceError('empty_audio', 'Expected audio, got 0 bytes');
    return await decodeFile(file, limits);
  } finally {
    file.close();
  }
}

async function decodeFile(file: ClipFile, limits: ClipLimits): Promise<DecodedClip> {
  const started = performance.now();
  const content = sniffContent((offset, length) => file.readAt(offset, length));
  const codec = chooseCodec(content);
  const builder = new ClipBuilder(limits);
  const pieces = file.readPieces(content.audioOffset, codec.pieceBytes);
  try {
    for await (const chunk of codec.decode(pieces, content)) builder.push(chunk);
  } catch (error) {
    throw error instanceof ServiceError ? error : brokenStream(content, error);
  }
  const { waveform, resampleMs, ...source } = builder.finish();
  const format = { container: content.container, decoder: codec.decoder, ...source };
  const decodeMs = performance.now() - started - resampleMs;
  return { waveform, format, decodeMs, resampleMs };
}

/** Decoders meet damage with traps, undefined names and range errors: none of it is ours or the client's to read. */
function brokenStream({ container, codec }: ClipContent, cause: unknown): ServiceError {
  const error = new ServiceError(
    'undecodable_audio',
    `Expected ${codec} in ${container}, as the first bytes say; its decoder gave up`,
  );
  error.cause = cause;
  return error;
}
