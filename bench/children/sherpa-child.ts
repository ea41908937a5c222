/**
 * sherpa-onnx: its audio tagging with a graph of CED's inputs. Arguments: where it is installed,
 * graph, labels, waveform.
 */
import { createRequire } from 'node:module';
import { answerTurns } from './turns.js';
import { readWaveform } from './waveform.js';

interface Stream {
  acceptWaveform(waveform: { sampleRate: number; samples: Float32Array }): void;
}
interface Sherpa {
  readonly version: string;
  readonly AudioTagging: new (
    config: object,
  ) => { createStream(): Stream; compute(stream: Stream, topK: number): { prob: number }[] };
}

const [installed = '', graphPath = '', labelsPath = '', waveformPath = ''] = process.argv.slice(2);
const { AudioTagging, version } = createRequire(`${installed}/`)('sherpa-onnx-node') as Sherpa;
const tagging = new AudioTagging({
  model: { ced: graphPath, numThreads: 1, provider: 'cpu', debug: 0 },
  labels: labelsPath,
  topK: 5,
});
const samples = await readWaveform(waveformPath);
await answerTurns(async () => {
  const stream = tagging.createStream();
  stream.acceptWaveform({ sampleRate: 16_000, samples });
  const events = tagging.compute(stream, 5);
  if (events.length !== 5) throw new Error(`Expected 5 events, got ${events.length}`);
}, version);
