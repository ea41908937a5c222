/** Thread entry: a decode thread as it is, but that it ends when it would hand on a window of a clip that is to kill it. */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { getEnvironmentData, parentPort } from 'node:worker_threads';
import '../../src/audio/decode-worker.js';
import type { DecodeCommand, DecodeReport } from '../../src/audio/decode-messages.js';
import { isToDie } from './death-notes.js';

if (!parentPort) throw new Error('Expected to run in a thread');
const port = parentPort;
const folder = String(getEnvironmentData('deaths folder'));
const paths = new Map<number, string>();
const post = port.postMessage.bind(port);

port.on('message', (command: DecodeCommand) => {
  if (command.type === 'decode') paths.set(command.clip, command.path);
});
port.postMessage = (report: DecodeReport, ...rest: never[]) => {
  const path = report.type === 'window' ? paths.get(report.clip) : undefined;
  if (path !== undefined && isToDie(folder, readFileSync(path))) process.exit(1);
  post(report, ...rest);
};
