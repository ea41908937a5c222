import type { InferenceSession } from 'onnxruntime-node';

/** One thread, as every engine of the service has it. */
export const ONE_THREAD: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
};
