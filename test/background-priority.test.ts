/** Engines and decode threads ask for less of a scarce core than the thread that answers. */
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';

const SOURCE = new URL('../src/background-priority.ts', import.meta.url).href;
const asked = `
  const { getPriority } = await import('node:os');
  const { workInBackground } = await import(${JSON.stringify(SOURCE)});
  const before = getPriority();
  workInBackground();
  (await import('node:worker_threads')).parentPort.postMessage(getPriority() - before);
`;

test.skipIf(process.platform !== 'linux')('a thread lowers itself and no other', async () => {
  const before = getPriority();
  const code = `import('tsx/esm/api').then(({ register }) => { register(); }).then(async () => {${asked}})`;
  const worker = new Worker(code, { eval: true });
  const lowered = await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  await worker.terminate();
  expect(lowered).toBeGreaterThan(0);
  expect(getPriority()).toBe(before);
});
