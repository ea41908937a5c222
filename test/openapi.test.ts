import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
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

test('every parameter has a schema that is one, which the service takes for granted', () => {
  const ajv = new Ajv2020();
  const schemas = operationsOf(openApi).flatMap(({ operation }) =>
    (operation.parameters ?? []).map((parameter) => {
      const { schema } = resolveReference(openApi, parameter) as OpenApiParameter;
      return resolveReference(openApi, schema);
    }),
  );
  expect(schemas.length).toBeGreaterThan(40);
  for (const schema of schemas)
    expect(ajv.validateSchema(schema), JSON.stringify(schema)).toBe(true);
  expect(ajv.validateSchema({ type: 'number', minimum: 'one' })).toBe(false);
});

test('what the build has left is taken as long as it was made from the same bytes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'earshot-openapi-'));
  const [source, built] = ['openapi.yaml', 'openapi.json'].map((file) => join(folder, file));
  const urls = { source: pathToFileURL(source as string), built: pathToFileURL(built as string) };
  const yaml = 'info: { version: 1.2.3 }';
  writeFileSync(urls.source, yaml);
  expect(await loadOpenApi(urls)).toEqual({ info: { version: '1.2.3' } });
  const sha256 = createHash('sha256').update(yaml).digest('hex');
  const document = { info: { version: 'as built' } };
  writeFileSync(urls.built, JSON.stringify({ sha256, document }));
  expect(await loadOpenApi(urls)).toEqual(document);
  writeFileSync(urls.source, `${yaml} `);
  expect(await loadOpenApi(urls)).toEqual({ info: { version: '1.2.3' } });
  rmSync(folder, { recursive: true });
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
