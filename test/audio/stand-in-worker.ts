import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { parentPort } from 'node:worker_threads';
import type { DecodeCommand, DecodeReport } from '../../src/audio/decode-messages.js';
import { WorkClock } from '../../src/audio/work-clock.js';

/**
 * Stands in for a decode thread. The clip is a number: it hangs if that is negative, ends as many times as it says, each
 * time after one more window, and then gives four windows in all.
 */
const NUM_WINDOWS = 4;

const report = (message: DecodeReport) => parentPort?.postMessage(message);

function decodeOrDie({
  clip,
  path,
  numSkipped,
  clock,
}: Extract<DecodeCommand, { type: 'decode' }>) {
  new WorkClock(clock).start();
  const numDeaths = Number(readFileSync(path, 'utf8'));
  if (numDeaths < 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  const last = numDeaths > 0 ? numSkipped + 1 : NUM_WINDOWS;
  for (let index = numSkipped; index < last; index++)
    report({ type: 'window', clip, window: at(index) });
  if (numDeaths > 0) {
    writeFileSync(path, String(numDeaths - 1));
    setImmediate(() => process.exit(1));
    return;
  }
  new WorkClock(clock).stop();
  report({ type: 'done', clip, decoded: DECODED });
}

const at = (index: number) => ({
  index,
  firstRow: index,
  channel: 0,
  startSeconds: index,
  endSeconds: index + 1,
  samples: Float32Array.of(index),
});

const DECODED = {
  format: {
    container: 'wav',
    codec: 'pcm_u8',
    decoder: 'wav',
    sampleRate: 16_000,
    channels: 1,
    durationSeconds: NUM_WINDOWS,
  },
  facts: {
    peakDbfs: null,
    rmsDbfs: null,
    fullScaleSamples: 0,
    silent: true,
    bandwidthHz: null,
    warnings: [],
  },
  heardSeconds: NUM_WINDOWS,
  heardChannels: [0],
  decodeMs: 0,
  resampleMs: 0,
};

parentPort?.on('message', (command: DecodeCommand) => {
  if (command.type === 'decode') decodeOrDie(command);
});
report({ type: 'ready' });
