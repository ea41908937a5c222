/** Requests made of openapi.yaml: mostly as it wants them, partly as it does not. */
import fc from 'fast-check';
import {
  type JsonSchema,
  type OpenApiDocument,
  type OpenApiParameter,
  operationsOf,
  resolveReference,
} from '../../src/http/openapi-document.js';
import { toneClip } from '../../test/http/test-service.js';

export interface GeneratedRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
}

/** The same ones for the same seed. */
export function generateRequests(
  document: OpenApiDocument,
  options: { count: number; seed: number },
): GeneratedRequest[] {
  const { count: numRuns, seed } = options;
  return fc.sample(requestsOf(document), { numRuns, seed });
}

function requestsOf(document: OpenApiDocument): fc.Arbitrary<GeneratedRequest> {
  const operations = operationsOf(document).map(({ path, method, operation }) => {
    const parameters = (operation.parameters ?? []).map(
      (parameter) => resolveReference(document, parameter) as OpenApiParameter,
    );
    const values = fc.tuple(...parameters.map((parameter) => textFor(document, parameter)));
    const isSent = fc.array(fc.integer({ min: 0, max: 4 }), {
      minLength: parameters.length,
      maxLength: parameters.length,
    });
    const sound = operation.requestBody === undefined ? fc.constant(NOTHING) : bodies(parameters);
    return fc.tuple(values, isSent, sound).map(([given, draws, sent]): GeneratedRequest => {
      const chosen = parameters.map((parameter, index) => ({
        ...parameter,
        value: given[index] ?? '',
        isSent: draws[index] === 0,
      }));
      return { method: method.toUpperCase(), path: filled(path, chosen), ...sent };
    });
  });
  return fc.oneof(...operations);
}

type Filled = OpenApiParameter & { readonly value: string; readonly isSent: boolean };

function filled(template: string, parameters: readonly Filled[]): string {
  const query = new URLSearchParams();
  let path = template;
  for (const { name, value, isSent, ...parameter } of parameters) {
    // A name of dots alone would be another path.
    const segment = encodeURIComponent(value).replaceAll('.', '%2E') || 'tiny';
    if (parameter.in === 'path') path = path.replace(`{${name}}`, segment);
    else if (isSent) query.append(name, value);
  }
  return query.size === 0 ? path : `${path}?${query}`;
}

const JUNK = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '-1', 'NaN', '1e999', '-0', 'null', '[]', '{}', '__proto__', '0x10', '%00'),
  fc.integer({ min: 1, max: 4000 }).map((length) => 'a'.repeat(length)),
);

function textFor(document: OpenApiDocument, { schema }: OpenApiParameter): fc.Arbitrary<string> {
  return fc.oneof(
    { arbitrary: wanted(document, schema), weight: 7 },
    { arbitrary: JUNK, weight: 1 },
  );
}

function wanted(document: OpenApiDocument, node: JsonSchema): fc.Arbitrary<string> {
  const schema = resolveReference(document, node) as JsonSchema;
  const { type, minimum, maximum, maxLength } = schema;
  const choices = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(choices)) return fc.oneof(...choices.map((each) => wanted(document, each)));
  if ('const' in schema) return fc.constant(String(schema.const));
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum.map(String));
  if (type === 'array') return wanted(document, schema.items as JsonSchema);
  if (type === 'boolean') return fc.boolean().map(String);
  const [min, max] = [Number(minimum ?? 0), Number(maximum ?? 1e6)];
  if (type === 'integer')
    return fc.integer({ min: Math.ceil(min), max: Math.floor(max) }).map(String);
  if (type === 'number') return fc.double({ min, max, noNaN: true }).map(String);
  const length = Math.min(Number(maxLength ?? 40), 40);
  return fc.oneof(
    fc.constantFrom('tiny', 'Dog', '/m/0bt9lr', '0.5'),
    fc.string({ maxLength: length }),
  );
}

const NOTHING = { contentType: undefined, body: new Uint8Array() };
const BOUNDARY = 'between';

function bodies(parameters: readonly OpenApiParameter[]) {
  const clip = toneClip(0.4);
  const content = fc.oneof(
    { arbitrary: fc.constant(clip), weight: 4 },
    { arbitrary: fc.uint8Array({ maxLength: 400 }), weight: 1 },
  );
  const types = fc.constantFrom(
    'audio/wav',
    'application/octet-stream',
    'audio/x',
    'text/plain',
    ';',
  );
  const raw = fc.record({ contentType: types, body: content });
  const names = fc.constantFrom('file', 'file', 'audio', ...parameters.map(({ name }) => name));
  const fields = fc.array(fc.tuple(names, JUNK), { maxLength: 2 });
  const form = fc.tuple(content, fields).map(([body, texts]) => ({
    contentType: `multipart/form-data; boundary=${BOUNDARY}`,
    body: formOf(body, texts),
  }));
  const json = fc.json({ maxDepth: 3 }).map((text) => ({
    contentType: 'application/json',
    body: Buffer.from(text),
  }));
  const asked = fc.constant({
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify({ input: dataUri(clip), model: 'tiny' })),
  });
  return fc.oneof({ arbitrary: raw, weight: 4 }, { arbitrary: form, weight: 2 }, json, asked);
}

const dataUri = (clip: Buffer): string => `data:audio/wav;base64,${clip.toString('base64')}`;

function formOf(file: Uint8Array, fields: readonly (readonly [string, string])[]): Buffer {
  const head = (rest: string) => `--${BOUNDARY}\r\nContent-Disposition: form-data; ${rest}\r\n\r\n`;
  const texts = fields.map(([name, value]) => `${head(`name="${name}"`)}${value}\r\n`);
  const parts = [texts.join(''), head('name="file"; filename="x"')].map((text) =>
    Buffer.from(text),
  );
  return Buffer.concat([...parts, file, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
}
