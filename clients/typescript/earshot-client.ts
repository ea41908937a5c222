import type { components, operations, paths } from 'earshot/openapi';
import createClient, { type Client, type FetchOptions } from 'openapi-fetch';

type Query<Op extends keyof operations> = NonNullable<operations[Op]['parameters']['query']>;
type Reply<Op extends keyof operations> = operations[Op] extends {
  responses: { 200: { content: { 'application/json': infer Body } } };
}
  ? Body
  : never;
/** The answer about one clip. */
type Answer<Op extends keyof operations> = Exclude<Reply<Op>, { object: 'list' }>;
export type Problem = components['schemas']['Problem'];

/** The service refused: what was expected, and what came. */
export class EarshotError extends Error {
  override readonly name = 'EarshotError';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.title}. ${problem.detail}`);
    this.problem = problem;
  }
}

export interface EarshotOptions {
  /** Such as `http://localhost:8080`. */
  readonly url: string;
  /** Where the service wants one. */
  readonly apiKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A client of an Earshot service, typed by its openapi.yaml. One clip at a time: its bytes are the body, and the answer is
 * that of one file.
 *
 * Each method throws an EarshotError when the service refuses.
 */
export class Earshot {
  /** Every operation, for what is not here: several files in one request, models, labels. */
  readonly client: Client<paths>;
  readonly #signal: AbortSignal | null;

  constructor({ url, apiKey, signal }: EarshotOptions) {
    const headers = apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` };
    this.client = createClient<paths>({ baseUrl: url, headers });
    this.#signal = signal ?? null;
  }

  tag(clip: Blob, query: Query<'createTags'> = {}): Promise<Answer<'createTags'>> {
    return this.#post('/v1/tags', clip, query);
  }

  /** As JSON; for other formats use `client`. */
  events(
    clip: Blob,
    query: Omit<Query<'createEvents'>, 'response_format'> = {},
  ): Promise<Answer<'createEvents'>> {
    return this.#post('/v1/events', clip, { ...query, response_format: 'json' });
  }

  tokens(clip: Blob, query: Query<'createTokens'> = {}): Promise<Answer<'createTokens'>> {
    return this.#post('/v1/tokens', clip, query);
  }

  /** One vector of unit length for all of the clip. */
  async embed(clip: Blob, query: Pick<Query<'createEmbeddings'>, 'model'> = {}): Promise<number[]> {
    const { data } = await this.#post<Reply<'createEmbeddings'>>('/v1/embeddings', clip, query);
    const [entry] = data;
    if (!entry || !('embedding' in entry) || typeof entry.embedding === 'string')
      throw new Error('Expected one vector of numbers');
    return entry.embedding;
  }

  async #post<T>(
    path: '/v1/tags' | '/v1/events' | '/v1/tokens' | '/v1/embeddings',
    clip: Blob,
    query: object,
  ): Promise<T> {
    const { data, error } = await this.client.POST(path, {
      params: { query },
      body: clip as never,
      bodySerializer: (body: unknown) => body as Blob,
      headers: { 'Content-Type': 'application/octet-stream' },
      signal: this.#signal,
    } as FetchOptions<never>);
    if (error) throw new EarshotError(error as Problem);
    return data as T;
  }
}
