/** ONNX Runtime alone: a graph of a model folder on a waveform. Arguments: graph, waveform. */
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { ONE_THREAD } from './session-options.js';
import { answerTurns } from './turns.js';
import { readWaveform } from './waveform.js';

const [graphPath = '', waveformPath = ''] = process.argv.slice(2);
const samples = await readWaveform(waveformPath);
const session = await InferenceSession.create(graphPath, ONE_THREAD);
const feeds = {
  waveform: new Tensor('float32', samples, [1, samples.length]),
  num_samples: new Tensor('int64', BigInt64Array.of(BigInt(samples.length)), [1]),
};
await answerTurns(() => session.run(feeds, ['clip_logits']), env.versions.node ?? '');
