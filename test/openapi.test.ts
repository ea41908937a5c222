import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import {
  loadOpenApi,
  type OpenApiDocument,
  type OpenApiParameter,
  operationsOf,
  resolveReference,
} from '../src/http/openapi-document.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

let openApi: OpenApiDocument;
beforeAll(async () => {
  openApi = await loadOpenApi();
});

test('the types of the code are those of the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'earshot-types-'));
  const made = join(folder, 'types.ts');
  const cli = join(ROOT, 'node_modules/openapi-typescript/bin/cli.js');
  execFileSync(process.execPath, [cli, 'openapi.yaml', '-o', made], { cwd: ROOT, stdio: 'pipe' });
  const committed = readFileSync(join(ROOT, 'src/http/openapi-types.ts'), 'utf8');
  expect(committed, 'run npm run openapi:types').toBe(readFileSync(made, 'utf8'));
  rmSync(folder, { recursive: true });
});

test('the version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(openApi.info.version).toBe(version);
});

test('a form takes the parameters of the query, and files', () => {
  const withForms = operationsOf(openApi).filter(({ operation }) => operation.requestBody);
  expect(withForms.map(({ path }) => path)).toEqual([
    '/v1/tags',
    '/v1/embeddings',
    '/v1/events',
    '/v1/tokens',
  ]);
  for (const { operation } of withForms) {
    const parameters = (operation.parameters ?? []).map(
      (parameter) => resolveReference(openApi, parameter) as OpenApiParameter,
    );
    const { content } = operation.requestBody as {
      content: Record<string, { schema: { properties: Record<string, unknown> } }>;
    };
    const { file, audio, ...fields } = content['multipart/form-data']?.schema.properties ?? {};
    expect([file, audio]).toEqual(Array(2).fill({ $ref: '#/components/schemas/AudioFiles' }));
    expect(fields).toEqual(
      Object.fromEntries(parameters.map(({ name, schema }) => [name, schema])),
    );
    const inJson = content['application/json']?.schema.properties;
    if (inJson) expect(inJson).toEqual({ ...fields, input: expect.anything() });
  }
});
