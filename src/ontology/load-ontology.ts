import { readFile } from 'node:fs/promises';
import { createOntology, type Ontology } from './ontology.js';

/**
 * Reads AudioSet's ontology from `ontology/` of the package, whether this runs from `src/` or `dist/`.
 *
 * @throws Error when the file is missing or contradicts itself
 */
export async function loadOntology(): Promise<Ontology> {
  const path = new URL('../../ontology/audioset.json', import.meta.url);
  return createOntology(JSON.parse(await readFile(path, 'utf8')));
}
