import type { Writable } from 'node:stream';
import { loadToolConfig } from '../config.js';
import { findModels } from '../inference/model-registry.js';

/** `earshot models`: one line for each model of MODELS_DIR, from their cards; none is started. */
export async function modelsCommand({ stdout }: { stdout: Writable }): Promise<number> {
  const found = await findModels(loadToolConfig().modelsDir);
  for (const { card } of found) {
    const numTrained = card.labels.filter(({ trained }) => trained).length;
    const parts = [
      card.name,
      `revision ${card.revision}`,
      Object.keys(card.graphs.encoder).join(' '),
      `${card.labels.length} labels (${numTrained} trained)`,
      `embeddings of ${card.embeddingDim}`,
      card.tokens ? `${card.tokens.codebookSize} tokens` : 'no tokens',
      card.license,
    ];
    stdout.write(`${parts.join('\t')}\n`);
  }
  return 0;
}
