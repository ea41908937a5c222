import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bytes, Codec, PcmChunk } from '../../src/audio/codecs/codec.js';
import { joinSamples } from '../../src/audio/resample.js';

/** Path of a real clip. */
export const fixturePath = (name: string): string =>
  fileURLToPath(new URL(`../fixtures/clips/${name}`, import.meta.url));

export const readFixture = (name: string): Buffer => readFileSync(fixturePath(name));

/** Bytes as a stream of pieces. */
export async function* inPieces(
  bytes: Uint8Array,
  pieceBytes = bytes.length,
): Bytes & AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    yield bytes.subarray(start, start + pieceBytes);
  }
}

export interface DecodedChannels {
  readonly codec: string;
  readonly sampleRate: number;
  readonly channels: readonly Float32Array[];
}

/** Everything a codec gives, joined. Undefined if it gives nothing. */
export async function decodeAll(
  codec: Codec,
  bytes: Uint8Array,
  options: { container: string; codec?: string; pieceBytes?: number },
): Promise<DecodedChannels | undefined> {
  const content = { codec: 'unknown', ...options, audioOffset: 0 };
  const pieces = inPieces(bytes, options.pieceBytes ?? codec.pieceBytes);
  const chunks: PcmChunk[] = [];
  for await (const chunk of codec.decode(pieces, content)) chunks.push(chunk);
  const [first] = chunks;
  if (!first) return undefined;
  const channels = first.channels.map((_, channel) =>
    joinSamples(chunks.map((chunk) => chunk.channels[channel]!)),
  );
  return { codec: first.codec, sampleRate: first.sampleRate, channels };
}

/** Whether two signals are the same to the bit; comparing them as arrays takes seconds. */
export const isSameSignal = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  );

/** A folder for the clips of a test file. */
export class ClipFolder {
  readonly #path = mkdtempSync(join(tmpdir(), 'earshot-clips-'));
  #count = 0;

  /** Writes a clip and gives its path. */
  write(bytes: Uint8Array): string {
    const path = join(this.#path, `clip-${this.#count++}`);
    writeFileSync(path, bytes);
    return path;
  }

  remove(): void {
    rmSync(this.#path, { recursive: true });
  }
}
