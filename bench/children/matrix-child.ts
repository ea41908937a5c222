/** The raw limit: products of matrices of a model's shapes. Argument: graph. */
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { ONE_THREAD } from './session-options.js';
import { answerTurns } from './turns.js';

const [graphPath = ''] = process.argv.slice(2);
const session = await InferenceSession.create(graphPath, ONE_THREAD);
const feeds = Object.fromEntries(session.inputMetadata.map(randomInput));
await answerTurns(() => session.run(feeds), env.versions.node ?? '');

function randomInput(value: InferenceSession.ValueMetadata): [string, Tensor] {
  if (!value.isTensor) throw new Error(`Expected ${value.name} to be a tensor`);
  const dims = value.shape.map(Number);
  const size = dims.reduce((product, dim) => product * dim, 1);
  const isFloat = value.type === 'float32';
  const tensor = isFloat
    ? new Tensor(
        'float32',
        Float32Array.from({ length: size }, () => Math.random() - 0.5),
        dims,
      )
    : new Tensor(
        'uint8',
        Uint8Array.from({ length: size }, () => Math.random() * 256),
        dims,
      );
  return [value.name, tensor];
}
