import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

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

/** Reads `openapi.yaml` from the root of the package, whether this runs from `src/` or `dist/`. */
export async function loadOpenApi(): Promise<OpenApiDocument> {
  const path = new URL('../../openapi.yaml', import.meta.url);
  return parse(await readFile(path, 'utf8')) as OpenApiDocument;
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
