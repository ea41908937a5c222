import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import type { DecodeReply, DecodeTask } from '../../src/audio/decode-worker.js';

/**
 * Stands in for a decode thread. The clip is a number: it hangs if that is negative, ends as many times as it says, and
 * then gives one sample.
 */
export default function decodeOrDie({ path, started }: DecodeTask): DecodeReply {
  started.postMessage('started');
  started.close();
  const numDeaths = Number(readFileSync(path, 'utf8'));
  if (numDeaths < 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (numDeaths > 0) {
    writeFileSync(path, String(numDeaths - 1));
    process.exit(1);
  }
  const format = {
    container: 'wav',
    codec: 'pcm_u8',
    decoder: 'wav',
    sampleRate: 16_000,
    channels: 1,
    durationSeconds: 1 / 16_000,
  };
  const waveform = { samples: Float32Array.of(0.5), sampleRate: 16_000 };
  return { clip: { waveform, format, decodeMs: 0, resampleMs: 0 } };
}
