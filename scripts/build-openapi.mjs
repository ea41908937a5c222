/** Builds `dist/openapi.json` from `openapi.yaml`: reading YAML would take a third of the start of the service. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { parse } from 'yaml';

const source = await readFile(new URL('../openapi.yaml', import.meta.url));
// The service takes the document only as long as openapi.yaml is what it was made from.
const sha256 = createHash('sha256').update(source).digest('hex');
const built = { sha256, document: parse(source.toString('utf8')) };
await writeFile(new URL('../dist/openapi.json', import.meta.url), JSON.stringify(built));
