// Writes ontology/audioset.json from the ontology.json of https://github.com/audioset/ontology:
//   node scripts/build-ontology.mjs PATH/ontology.json
import { readFile, writeFile } from 'node:fs/promises';

const TARGET = new URL('../ontology/audioset.json', import.meta.url);

/**
 * One node of AudioSet's file as this project keeps it: without links and examples.
 *
 * @param {{ id: string, name: string, description: string, child_ids: string[], restrictions: string[] }} node
 */
const toNode = ({ id, name, description, child_ids: children, restrictions }) => ({
  mid: id,
  name,
  description,
  children,
  restrictions,
});

/** The text of the product's file: one node a line, so that a change shows in a diff. */
export function buildOntology(source) {
  const lines = JSON.parse(source).map((node) => `  ${JSON.stringify(toNode(node))}`);
  return `[\n${lines.join(',\n')}\n]\n`;
}

if (import.meta.url === new URL(process.argv[1], 'file:').href) {
  await writeFile(TARGET, buildOntology(await readFile(process.argv[2], 'utf8')));
}
