/**
 * transformers.js: its audio-classification on a folder of local files. Arguments: where it is
 * installed, model folder, `fp32` or `q8`, waveform.
 */
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ONE_THREAD } from './session-options.js';
import { answerTurns } from './turns.js';
import { readWaveform } from './waveform.js';

type Classify = (samples: Float32Array, options: { top_k: number }) => Promise<unknown[]>;
interface Transformers {
  readonly env: { version: string; allowRemoteModels: boolean; localModelPath: string };
  pipeline(task: string, model: string, options: object): Promise<Classify>;
}

const [installed = '', folder = '', dtype = '', waveformPath = ''] = process.argv.slice(2);
const entry = createRequire(`${installed}/`).resolve('@huggingface/transformers');
const { env, pipeline } = (await import(pathToFileURL(entry).href)) as Transformers;
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const { executionProviders: _, ...oneThread } = ONE_THREAD;
const classify = await pipeline('audio-classification', basename(folder), {
  dtype,
  device: 'cpu',
  session_options: oneThread,
});
const samples = await readWaveform(waveformPath);
await answerTurns(() => classify(samples, { top_k: 5 }), env.version);
