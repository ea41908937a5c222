import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** Someone who holds a key. */
export interface Client {
  readonly id: string;
  /** Undefined: as everyone's. 0: none. */
  readonly rateLimitPerMinute: number | undefined;
  /** Requests in hand at once. Undefined: as everyone's. 0: no limit. */
  readonly maxConcurrent: number | undefined;
}

interface StoredKey {
  readonly client: Client;
  readonly digest: Buffer;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

/** Two, so that a client can go over to a new key while the old one still works. */
const MAX_LIVE_KEYS = 2;
const SECRET_BYTES = 32;
const MAX_LIMIT = 1_000_000;

const LIMIT_WORDS = `expected an integer from 0 to ${MAX_LIMIT}`;

const limit = z.int(LIMIT_WORDS).min(0, LIMIT_WORDS).max(MAX_LIMIT, LIMIT_WORDS).optional();
const keyLine = z.strictObject({
  client: z
    .string('expected a name')
    .regex(/^[\w-]{1,64}$/, 'expected 1 to 64 letters, digits, "_" or "-"'),
  sha256: z
    .string('expected a hash')
    .regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits in lower case'),
  expires: z.union([z.iso.date(), z.iso.datetime({ offset: true })], 'expected a date').optional(),
  rate_limit_per_minute: limit,
  max_concurrent: limit,
});

/** One line of the file of keys. */
export type KeyLine = z.output<typeof keyLine>;

/** The keys that are known: of each only its SHA-256, which tells nothing of 256 random bits. */
export class ApiKeys {
  readonly #byClient: ReadonlyMap<string, readonly StoredKey[]>;

  private constructor(byClient: ReadonlyMap<string, readonly StoredKey[]>) {
    this.#byClient = byClient;
  }

  /**
   * Reads one JSON object a line; empty lines and lines that begin with `#` say nothing.
   *
   * @param nowMs milliseconds since 1970: keys that have expired by then do not count
   * @throws Error of one line with the number of the bad line, what was expected and what came
   */
  static parse(text: string, nowMs: number): ApiKeys {
    const byClient = new Map<string, StoredKey[]>();
    for (const [index, line] of text.split('\n').entries()) {
      if (/^\s*(#|$)/.test(line)) continue;
      try {
        add(byClient, toStoredKey(line), nowMs);
      } catch (error) {
        throw new Error(`line ${index + 1}: ${(error as Error).message}`);
      }
    }
    return new ApiKeys(byClient);
  }

  /** Clients with a key, live or expired. */
  get numClients(): number {
    return this.#byClient.size;
  }

  /** Whose key this is; undefined for one that is unknown or has expired. */
  clientOf(key: string, nowMs: number): Client | undefined {
    const digest = digestOf(key);
    const stored = this.#byClient.get(key.split('.', 1)[0] ?? '') ?? [];
    // Every key is compared to its end: how long it takes tells nothing of how near a guess came.
    const [match] = stored.filter((each) => timingSafeEqual(each.digest, digest));
    return match !== undefined && nowMs < match.expiresMs ? match.client : undefined;
  }
}

/** A new key, `id.secret`, and the line by which the service knows it. */
export function makeApiKey(options: Omit<KeyLine, 'sha256'>): { key: string; line: string } {
  const { client, ...others } = options;
  const key = `${client}.${randomBytes(SECRET_BYTES).toString('base64url')}`;
  const line = JSON.stringify({ client, sha256: digestOf(key).toString('hex'), ...others });
  toStoredKey(line);
  return { key, line };
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function toStoredKey(line: string): StoredKey {
  const parsed = keyLine.safeParse(toJson(line));
  if (!parsed.success) throw new Error(parsed.error.issues.map(toSentence).join('; '));
  const { client, sha256, expires, rate_limit_per_minute, max_concurrent } = parsed.data;
  return {
    client: {
      id: client,
      rateLimitPerMinute: rate_limit_per_minute,
      maxConcurrent: max_concurrent,
    },
    digest: Buffer.from(sha256, 'hex'),
    expiresMs: expires === undefined ? Infinity : Date.parse(expires),
  };
}

/** Never shows the line: it may be a key that was put in the wrong place. */
function toJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error('expected a JSON object like {"client":"...","sha256":"..."}, got no JSON');
  }
}

function toSentence({ path, message }: z.core.$ZodIssue): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`;
}

function add(byClient: Map<string, StoredKey[]>, key: StoredKey, nowMs: number): void {
  const { id } = key.client;
  const keys = byClient.get(id) ?? [];
  const live = [...keys, key].filter(({ expiresMs }) => nowMs < expiresMs);
  if (live.length > MAX_LIVE_KEYS) {
    throw new Error(
      `expected at most ${MAX_LIVE_KEYS} live keys of a client, got one more of ${id}`,
    );
  }
  const other = keys.find(({ client }) => !haveSameLimits(client, key.client));
  if (other) throw new Error(`expected the same limits on every line of ${id}, got others`);
  byClient.set(id, [...keys, key]);
}

function haveSameLimits(one: Client, other: Client): boolean {
  return (
    one.rateLimitPerMinute === other.rateLimitPerMinute && one.maxConcurrent === other.maxConcurrent
  );
}
