import type { ModelRegistryOptions } from '../../src/inference/model-registry.js';
import { openWorkshop, startService, type TestService } from '../../test/http/test-service.js';
import { startTiny } from '../../test/inference/tiny-model.js';
import { type RunFault, startFaultyEngine } from './faulty-engine.js';

export interface FaultyServiceOptions {
  readonly fault: RunFault;
  readonly model: Partial<ModelRegistryOptions>;
  /** Variables of the service's environment. */
  readonly env?: Record<string, string>;
}

/** The service around engines with a fault; all of it is gone when `work` is done. */
export async function withFaultyEngines<T>(
  { fault, model, env = {} }: FaultyServiceOptions,
  work: (service: TestService) => Promise<T>,
): Promise<T> {
  const workshop = await openWorkshop();
  const registry = await startTiny({ ...model, startEngine: startFaultyEngine(fault) });
  const service = await startService(workshop, { registry, env });
  try {
    return await work(service);
  } finally {
    await service.close();
    await registry.close({ graceMs: 0 });
    await workshop.close();
  }
}
