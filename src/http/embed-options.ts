import type { EmbeddingOptions } from '../analyze/embed-clip.js';
import { ServiceError } from '../errors.js';
import type { ModelCard } from '../inference/model-card.js';
import { toHearing } from './hearing.js';
import { invalidValue } from './invalid-value.js';
import type { ParametersOf } from './parameters.js';

/** Numbers in one reply, some 64 MB as float32 and 200 MB as JSON: what a service of little memory can still write. */
export const MAX_EMBEDDING_VALUES = 2 ** 24;

/**
 * What a request about embeddings asks of a model.
 *
 * @throws ServiceError `invalid_value` for dimensions that the model does not have · `conflicting_parameters` for bits
 *   or bytes of vectors that are not of unit length
 */
export function toEmbeddingOptions(
  parameters: ParametersOf<'createEmbeddings'>,
  { embeddingDim, name }: ModelCard,
): EmbeddingOptions {
  const { granularity, pooling, normalize, dtype, dimensions } = parameters;
  if (dimensions !== undefined && dimensions !== embeddingDim)
    throw invalidValue(
      'dimensions',
      `Expected ${embeddingDim}, which the vectors of ${name} have, got ${dimensions}`,
    );
  if (dtype === 'int8' && !normalize)
    throw new ServiceError(
      'conflicting_parameters',
      'Expected normalize=true with dtype=int8, whose scale is that of a unit vector, got false',
    );
  const hearing = toHearing(parameters);
  return { hearing, granularity, pooling, normalize, maxValues: MAX_EMBEDDING_VALUES };
}
