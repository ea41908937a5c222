import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface OpenApiParameter {
  readonly name: string;
  readonly in: 'query' | 'path';
  readonly schema: JsonSchema;
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly parameters?: readonly (OpenApiParameter | { readonly $ref: string })[];
  readonly requestBody?: JsonSchema;
  readonly responses: Readonly<Record<string, JsonSchema>>;
}

/** `openapi.yaml`, as far as the service itself reads it. */
export interface OpenApiDocument {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, JsonSchema>>>>;
}

const SOURCE = new URL('../../openapi.yaml', import.meta.url);
/** Written by the build; beside `src/` there is none. */
const BUILT = new URL('../openapi.json', import.meta.url);

/**
 * Reads `openapi.yaml` from the root of the package, whether this runs from `src/` or `dist/`.
 *
 * Where the build has left it as JSON, made from the very same bytes, that is read: YAML takes a hundred times as long.
 */
export async function loadOpenApi({
  source = SOURCE,
  built = BUILT,
} = {}): Promise<OpenApiDocument> {
  const yaml = await readFile(source);
  const found = await readFile(built, 'utf8').then(JSON.parse, () => undefined);
  const sha256 = createHash('sha256').update(yaml).digest('hex');
  if (found?.sha256 === sha256) return found.document as OpenApiDocument;
  const { parse } = await import('yaml');
  return parse(yaml.toString('utf8')) as OpenApiDocument;
}

/** What a `$ref` within the document points at, or the node itself when it is none. */
export function resolveReference(document: OpenApiDocument, node: object): object {
  if (!('$ref' in node)) return node;
  const [, ...keys] = String(node.$ref).split('/');
  let target: unknown = document;
  for (const key of keys) target = (target as Record<string, unknown> | undefined)?.[key];
  if (typeof target !== 'object' || target === null)
    throw new Error(`openapi.yaml: no ${node.$ref}`);
  return resolveReference(document, target);
}

/** Every operation of the document, with its path and method. */
export function operationsOf(
  document: OpenApiDocument,
): { path: string; method: string; operation: OpenApiOperation }[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}
