import { extname } from 'node:path';
import { parseArgs } from 'node:util';
import { ServiceError } from '../errors.js';
import {
  type OpenApiDocument,
  type OpenApiParameter,
  operationsOf,
  resolveReference,
} from '../http/openapi-document.js';
import { createParameterParser, type ParametersOf } from '../http/parameters.js';
import type { Wanted } from './annotator.js';
import { FORMAT_NAMES, type FormatName } from './result-format.js';
import { UsageError } from './usage-error.js';

/** `earshot tag` as it was given, checked as far as that goes without the model. */
export interface TagArguments {
  readonly paths: readonly string[];
  readonly model: string | undefined;
  readonly format: FormatName;
  /** Undefined: standard output. */
  readonly out: string | undefined;
  readonly overwrite: boolean;
  readonly quiet: boolean;
  /** The file of embeddings. */
  readonly embeddings: string | undefined;
  readonly wanted: Wanted;
}

const OWN_OPTIONS = {
  model: { type: 'string' },
  format: { type: 'string' },
  out: { type: 'string', short: 'o' },
  events: { type: 'boolean' },
  embeddings: { type: 'string' },
  overwrite: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
} as const;

/** Of the HTTP parameters, those that the command line has a word of its own for, or no use. */
const NO_FLAGS = new Set([
  'model',
  'timeout_ms',
  'response_format',
  'timeline_encoding',
  'timeline_dtype',
]);

/**
 * Reads the arguments of `earshot tag`. The parameters of `POST /v1/tags` and of `POST /v1/events` are its
 * flags, `top_k` as `--top-k`, and they are checked as there.
 *
 * @throws UsageError of one line
 */
export function parseTagArguments(args: readonly string[], openApi: OpenApiDocument): TagArguments {
  const tagNames = flagsOf('createTags', openApi);
  // What both know by one name but mean differently is about tags; a timeline has no place in a result.
  const eventNames = flagsOf('createEvents', openApi).filter(
    (name) => name !== 'top_k' && name !== 'include',
  );
  const { values, positionals } = parse(args, [...tagNames, ...eventNames]);
  const own = values as { [Name in keyof typeof OWN_OPTIONS]?: string & boolean };
  if (positionals.length === 0) throw new UsageError('Expected files or folders, got none');
  const onlyEvents = eventNames.filter((name) => !tagNames.includes(name) && name in values);
  if (!own.events && onlyEvents[0])
    throw new UsageError(`--${toFlag(onlyEvents[0])} needs --events`);
  const parameters = createParameterParser(openApi);
  const wanted: Wanted = {
    tags: checked(() => parameters('createTags', pick(values, tagNames))),
    events: own.events
      ? checked(() => parameters('createEvents', pick(values, eventNames)))
      : undefined,
    withEmbeddings: own.embeddings !== undefined,
  };
  if (wanted.withEmbeddings) assertOneVector(wanted.tags);
  return {
    paths: positionals,
    model: own.model,
    format: toFormat(own.format, own.out),
    out: own.out,
    overwrite: own.overwrite ?? false,
    quiet: own.quiet ?? false,
    embeddings: own.embeddings,
    wanted,
  };
}

/** The flags that stand for parameters of an operation, without their dashes. */
export function flagsOf(
  operationId: 'createTags' | 'createEvents',
  openApi: OpenApiDocument,
): string[] {
  const found = operationsOf(openApi).find(
    ({ operation }) => operation.operationId === operationId,
  );
  const parameters = (found?.operation.parameters ?? []).map(
    (node) => resolveReference(openApi, node) as OpenApiParameter,
  );
  return parameters.map(({ name }) => name).filter((name) => !NO_FLAGS.has(name));
}

export const toFlag = (name: string): string => name.replaceAll('_', '-');

type Values = Readonly<Record<string, unknown>>;

function parse(
  args: readonly string[],
  names: readonly string[],
): { values: Values; positionals: string[] } {
  const flags = names.map((name) => [toFlag(name), { type: 'string', multiple: true }] as const);
  const options = { ...Object.fromEntries(flags), ...OWN_OPTIONS };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const named = Object.entries(values).map(([flag, value]) => [flag.replaceAll('-', '_'), value]);
    return { values: Object.fromEntries(named), positionals };
  } catch (error) {
    // Node says what to do about an argument that begins with a dash, too.
    throw new UsageError((error as Error).message);
  }
}

/** A flag that was given once as it is, one given several times as a list: as a query has it. */
function pick(values: Values, names: readonly string[]): Record<string, string | string[]> {
  const given = names.flatMap((name) => {
    const value = values[name] as string[] | undefined;
    return value ? [[name, value.length === 1 ? value[0] : value]] : [];
  });
  return Object.fromEntries(given);
}

/** A parameter that openapi.yaml forbids is an argument that makes no sense. */
export function checked<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new UsageError(error.message.replace(/^(\w+): /, (_, name) => `--${toFlag(name)}: `));
  }
}

function assertOneVector({ channel }: ParametersOf<'createTags'>): void {
  if (channel === 'each') throw new UsageError('--embeddings: Expected one channel, got each');
}

function toFormat(name: string | undefined, out: string | undefined): FormatName {
  const isKnown = (text: string): text is FormatName => FORMAT_NAMES.some((each) => each === text);
  if (name === undefined) {
    const extension = extname(out ?? '').slice(1);
    return isKnown(extension) ? extension : 'ndjson';
  }
  if (isKnown(name)) return name;
  throw new UsageError(`--format: Expected one of ${FORMAT_NAMES.join(', ')}, got ${name}`);
}
