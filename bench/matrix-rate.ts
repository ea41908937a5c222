import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** Large enough to be limited by arithmetic, small enough to stay in the caches of one core. */
const SIDE = 768;
const PRODUCTS_PER_RUN = 24;

/** The machine's float32 matrix rate with one thread: the yardstick for what a session could do. */
export class MatrixRate {
  readonly #session: InferenceSession;
  readonly #feeds: Record<string, Tensor>;

  static async open(): Promise<MatrixRate> {
    const path = fileURLToPath(new URL('./graphs/matmul.onnx', import.meta.url));
    const options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 } as const;
    return new MatrixRate(await InferenceSession.create(path, options));
  }

  private constructor(session: InferenceSession) {
    this.#session = session;
    this.#feeds = { left: randomMatrix(), right: randomMatrix() };
  }

  /** Floating-point operations per second of processor time, from one short measurement. */
  async measure(): Promise<number> {
    await this.#session.run(this.#feeds);
    const before = process.cpuUsage();
    for (let run = 0; run < PRODUCTS_PER_RUN; run += 1) await this.#session.run(this.#feeds);
    const { user, system } = process.cpuUsage(before);
    return (2 * SIDE ** 3 * PRODUCTS_PER_RUN) / ((user + system) / 1e6);
  }
}

function randomMatrix(): Tensor {
  const values = Float32Array.from({ length: SIDE * SIDE }, () => Math.random() - 0.5);
  return new Tensor('float32', values, [SIDE, SIDE]);
}
