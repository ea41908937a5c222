import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceError } from '../errors.js';
import { type ClosableModel, type Model, type ModelOptions, startModel } from './model.js';
import { loadModelCard, type ModelCard } from './model-card.js';

export type { Model } from './model.js';

/** The models that the service offers, by name. */
export interface ModelRegistry {
  readonly defaultName: string;
  /** @throws ServiceError `unknown_model` */
  get(name?: string): Model;
  list(): Model[];
  /** Whether each model has an engine that lives. */
  ready(): boolean;
  /** Refuses what waits and ends all engines; runs in hand get `graceMs`, by default 5 s. */
  close(options?: { graceMs: number }): Promise<void>;
}

export interface ModelRegistryOptions extends ModelOptions {
  /** Folder with one folder per model. */
  readonly modelsDir: string;
  /** Name of the default model; may be left out where there is only one. */
  readonly model?: string | undefined;
}

/** A model on disk, its card checked. */
export interface FoundModel {
  readonly folder: string;
  readonly card: ModelCard;
}

const CLOSE_GRACE_MS = 5000;

/**
 * Starts every model in `modelsDir`; when it returns, all are warm. Each has engines of its own.
 *
 * @throws Error that names the folder, file or model at fault; no engine is left then
 */
export async function createModelRegistry(options: ModelRegistryOptions): Promise<ModelRegistry> {
  const found = await findModels(options.modelsDir);
  const defaultName = chooseDefault(found, options);
  const models = await startAll(found, options);
  return {
    defaultName,
    get(name = defaultName) {
      const model = models.get(name);
      if (model !== undefined) return model;
      throw new ServiceError(
        'unknown_model',
        `Expected one of ${[...models.keys()].join(', ')}, got ${name}`,
      );
    },
    list: () => [...models.values()],
    ready: () => [...models.values()].every((model) => model.isReady()),
    close: ({ graceMs } = { graceMs: CLOSE_GRACE_MS }) => closeAll(models.values(), graceMs),
  };
}

/**
 * The default model of `modelsDir`, by its card; nothing is started.
 *
 * @throws Error that names the folder, file or model at fault
 */
export async function findModel(
  options: Pick<ModelRegistryOptions, 'model' | 'modelsDir'>,
): Promise<FoundModel> {
  const found = await findModels(options.modelsDir);
  const name = chooseDefault(found, options);
  return found.find(({ card }) => card.name === name) as FoundModel;
}

/**
 * Every model in `modelsDir`, by its card, in the order of the folders' names; nothing is started.
 *
 * @throws Error that names the folder or file at fault
 */
export async function findModels(modelsDir: string): Promise<FoundModel[]> {
  const entries = await readdir(modelsDir).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `${modelsDir}: expected a folder of models, but reading it failed (${error.code})`,
    );
  });
  const found: FoundModel[] = [];
  for (const entry of entries.sort()) {
    const folder = join(modelsDir, entry);
    const hasCard = await stat(join(folder, 'model.json')).then(
      () => true,
      () => false,
    );
    if (hasCard) found.push({ folder, card: await loadModelCard(folder) });
  }
  if (found.length === 0)
    throw new Error(`${modelsDir}: expected a folder with a model.json in it, found none`);
  assertDistinct(found);
  return found;
}

function assertDistinct(found: readonly FoundModel[]): void {
  const folders = new Map<string, string>();
  for (const { folder, card } of found) {
    const other = folders.get(card.name);
    if (other !== undefined)
      throw new Error(`${folder}: ${other} also holds a model named ${card.name}`);
    folders.set(card.name, folder);
  }
}

function chooseDefault(
  found: readonly FoundModel[],
  { model, modelsDir }: Pick<ModelRegistryOptions, 'model' | 'modelsDir'>,
): string {
  const names = found.map(({ card }) => card.name);
  const [first, ...others] = names;
  if (model === undefined && first !== undefined && others.length === 0) return first;
  if (model !== undefined && names.includes(model)) return model;
  throw new Error(
    `MODEL: expected one of the models in ${modelsDir} (${names.join(', ')}), got ${model ?? 'none'}`,
  );
}

async function startAll(
  found: readonly FoundModel[],
  options: ModelOptions,
): Promise<Map<string, ClosableModel>> {
  const models = new Map<string, ClosableModel>();
  try {
    // One after another: opening a graph takes more memory than having it open.
    for (const { folder, card } of found) {
      models.set(card.name, await startModel(folder, { ...options, card }));
    }
    return models;
  } catch (error) {
    await closeAll(models.values(), 0);
    throw error;
  }
}

async function closeAll(models: Iterable<ClosableModel>, graceMs: number): Promise<void> {
  await Promise.all([...models].map((model) => model.close({ graceMs })));
}
