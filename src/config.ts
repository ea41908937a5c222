import { accessSync, constants } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { availableCores } from './available-cores.js';

/** The folder of package.json, whether this file runs from `src/` or from `dist/`. */
const PACKAGE_ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A setting that the service cannot start with. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const MEBIBYTE = 2 ** 20;

const integer = (min: number, max: number) =>
  z
    .string()
    .refine(
      (text) => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max,
      `an integer from ${min} to ${max}`,
    )
    .transform(Number);
const milliseconds = (min: number) => integer(min, LONGEST_TIMER_MS);
const oneOf = <const T extends string>(...values: T[]) =>
  z.enum(values, { error: `one of ${values.join(', ')}` });
const onOff = oneOf('on', 'off').transform((text) => text === 'on');
const numbers = (pattern: RegExp, expected: string) =>
  z
    .string()
    .refine((text) => text.split(',').every((part) => pattern.test(part.trim())), expected)
    .transform((text) => text.split(',').map(Number));
const listOf = (isPart: (part: string) => boolean, expected: string) =>
  z
    .string()
    .transform(toParts)
    .refine((parts) => parts.every(isPart), expected);
const positiveIntegers = numbers(/^[1-9]\d{0,3}$/, 'positive integers with commas between them');

/** As browsers write it: no path, no port that is the default one. `*` would be everyone. */
const origins = listOf(
  (text) => URL.canParse(text) && new URL(text).origin === text && /^https?:/.test(text),
  'origins like https://example.org with commas between them',
);
/** Not "true": then every client could say that it has any address. */
const trustedProxies = z
  .string()
  .transform((text) => (/^\d$/.test(text) ? Number(text) : toParts(text)))
  .refine(
    (proxies) => typeof proxies === 'number' || proxies.every(isAddressRange),
    'a number of proxies from 0 to 9, or addresses and subnets with commas between them',
  );

function toParts(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

function isAddressRange(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', prefix, more] = text.split('/');
  const maxPrefix = isIP(address) === 4 ? 32 : 128;
  const isPrefix = prefix === undefined || /^[1-9]\d{0,2}$/.test(prefix);
  return isIP(address) > 0 && isPrefix && Number(prefix ?? 1) <= maxPrefix && more === undefined;
}

/** Every variable that the service reads, with its default. None is without effect. */
function environment(cores: number) {
  return z.object({
    PORT: integer(0, 65_535).default(8080),
    HOST: z.string().optional(),
    DOCS: onOff.default(true),
    DOCS_PORT: integer(0, 65_535).optional(),
    PAGE: onOff.default(true),
    METRICS: onOff.default(true),
    METRICS_PORT: integer(0, 65_535).optional(),
    API_KEYS_FILE: z.string().optional(),
    RATE_LIMIT_PER_MINUTE: integer(0, 1_000_000).default(0),
    MAX_CONCURRENT_PER_CLIENT: integer(0, 1_000_000).default(0),
    TRUST_PROXY: trustedProxies.default(0),
    CORS_ORIGINS: origins.default([]),
    LOG_LEVEL: oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent').default('info'),

    MODELS_DIR: z.string().default(join(PACKAGE_ROOT, 'models')),
    MODEL: z.string().optional(),
    EXECUTION_PROVIDER: oneOf('auto', 'cuda', 'cpu').default('auto'),
    PRECISION: oneOf('auto', 'fp32', 'int8', 'fp16').default('auto'),
    CUDA_DEVICES: numbers(/^\d{1,3}$/, 'device numbers with commas between them').default([0]),
    ENGINES: integer(1, 256).default(cores),
    INTRA_OP_THREADS: integer(1, 256).default(1),
    WARMUP: onOff.default(true),
    ENGINE_RUN_TIMEOUT_MS: milliseconds(1).optional(),
    BATCH_SIZES: positiveIntegers.default([1, 4, 16]),
    BATCH_LENGTHS_SECONDS: positiveIntegers.default([2, 4, 6, 8, 10]),
    QUEUE_MAX_WINDOWS: integer(1, 1_000_000).optional(),
    QUEUE_MAX_AUDIO_SECONDS: integer(1, 10_000_000).optional(),
    REQUEST_TIMEOUT_MS: milliseconds(1).default(60_000),

    MAX_UPLOAD_BYTES: integer(1, Number.MAX_SAFE_INTEGER).default(25 * MEBIBYTE),
    MAX_FILES: integer(1, 10_000).default(32),
    MAX_UPLOADS: integer(1, 100_000).default(32),
    UPLOAD_TIMEOUT_MS: milliseconds(1).default(60_000),
    UPLOAD_MIN_BYTES_PER_SECOND: integer(0, Number.MAX_SAFE_INTEGER).default(16_384),
    SPOOL_DIR: z.string().default(join(tmpdir(), 'earshot-spool')),
    MAX_CLIP_SECONDS: integer(1, 86_400).default(600),
    DECODE_CONCURRENCY: integer(1, 256).default(cores),
    DECODE_TIMEOUT_MS: milliseconds(1).default(30_000),
    FFMPEG_PATH: z.string().optional(),

    PRE_STOP_MS: milliseconds(0).default(5000),
    DRAIN_TIMEOUT_MS: milliseconds(0).default(30_000),
  });
}

type Environment = z.output<ReturnType<typeof environment>>;

/** What the service was told, checked. Times are in milliseconds, sizes in bytes, as their names say. */
export interface Config {
  readonly port: number;
  /** Undefined: every interface. */
  readonly host: string | undefined;
  readonly docs: boolean;
  /** Undefined: the documentation is on the main port. */
  readonly docsPort: number | undefined;
  readonly page: boolean;
  readonly metrics: boolean;
  /** Undefined: metrics are on the main port. */
  readonly metricsPort: number | undefined;
  /** Undefined: everyone may ask. */
  readonly apiKeysFile: string | undefined;
  /** Of a client, or of an address where no key is wanted; 0: no limit. */
  readonly rateLimitPerMinute: number;
  /** Requests in hand, counted as those; 0: no limit. */
  readonly maxConcurrentPerClient: number;
  /** Proxies before the service, or their addresses: what they say of a client's address is believed. */
  readonly trustProxy: number | readonly string[];
  /** Whose pages may read replies. */
  readonly corsOrigins: readonly string[];
  readonly logLevel: Environment['LOG_LEVEL'];

  readonly modelsDir: string;
  /** Undefined: the only model there is. */
  readonly model: string | undefined;
  readonly executionProvider: Environment['EXECUTION_PROVIDER'];
  readonly precision: Environment['PRECISION'];
  readonly cudaDevices: readonly number[];
  readonly engines: number;
  readonly intraOpThreads: number;
  readonly warmup: boolean;
  /** Undefined: ten times what warming up took. */
  readonly engineRunTimeoutMs: number | undefined;
  readonly batchSizes: readonly number[];
  readonly batchLengthsSeconds: readonly number[];
  /** Undefined: eight for each engine on CPU, eight of the largest batch on GPU. */
  readonly queueMaxWindows: number | undefined;
  /** Undefined: windows alone count. */
  readonly queueMaxAudioSeconds: number | undefined;
  readonly requestTimeoutMs: number;

  /** All files of a request together. */
  readonly maxUploadBytes: number;
  readonly maxFiles: number;
  /** Uploads in progress at once. */
  readonly maxUploads: number;
  readonly uploadTimeoutMs: number;
  /** 0: no limit. */
  readonly uploadMinBytesPerSecond: number;
  readonly spoolDir: string;
  readonly maxClipSeconds: number;
  readonly decodeConcurrency: number;
  readonly decodeTimeoutMs: number;
  /** Undefined: there is none, or it is not wanted. */
  readonly ffmpegPath: string | undefined;
  /** Undefined: there is none, and nothing limits ffmpeg but time. */
  readonly prlimitPath: string | undefined;

  readonly preStopMs: number;
  readonly drainTimeoutMs: number;
}

/**
 * Reads the environment, once, into a frozen value. The only reader of `process.env`.
 *
 * An empty variable counts as not set.
 *
 * @throws ConfigError of one line that names each bad variable, what was expected and what came
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>> = process.env,
  cores: number = availableCores(),
): Config {
  const given = withoutEmpty(env);
  const parsed = environment(cores).safeParse(given);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map(toLine(given)).join('; '));
  return Object.freeze({ ...toConfig(parsed.data), ...findPrograms(given) });
}

/** Limits that guard a service from strangers, and not somebody's own files from themselves. */
const UNGUARDED = {
  MAX_CLIP_SECONDS: '86400',
  DECODE_TIMEOUT_MS: String(LONGEST_TIMER_MS),
};

/**
 * The configuration of a command on one's own files: limits of length and time hold only where the
 * environment sets them.
 *
 * @param given beats the environment
 * @throws ConfigError as `loadConfig`
 */
export function loadToolConfig(given: Readonly<Record<string, string>> = {}): Config {
  return loadConfig({ ...UNGUARDED, ...withoutEmpty(process.env), ...given });
}

function withoutEmpty(env: Readonly<Record<string, string | undefined>>) {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

/** Programs that decoding uses where the system has them. */
function findPrograms({ FFMPEG_PATH, PATH = '' }: Readonly<Record<string, string | undefined>>) {
  const found = FFMPEG_PATH ?? findProgram('ffmpeg', PATH);
  return {
    ffmpegPath: found === 'off' ? undefined : found,
    prlimitPath: findProgram('prlimit', PATH),
  };
}

function findProgram(name: string, path: string): string | undefined {
  const folders = path.split(delimiter).filter((folder) => isAbsolute(folder));
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function toLine(given: Readonly<Record<string, string | undefined>>) {
  return ({ path, message }: z.core.$ZodIssue): string => {
    const name = String(path[0]);
    return `${name}: expected ${message}, got ${JSON.stringify(given[name])}`;
  };
}

function toConfig(env: Environment): Omit<Config, 'ffmpegPath' | 'prlimitPath'> {
  return {
    port: env.PORT,
    host: env.HOST,
    docs: env.DOCS,
    docsPort: env.DOCS_PORT,
    page: env.PAGE,
    metrics: env.METRICS,
    metricsPort: env.METRICS_PORT,
    apiKeysFile: env.API_KEYS_FILE,
    rateLimitPerMinute: env.RATE_LIMIT_PER_MINUTE,
    maxConcurrentPerClient: env.MAX_CONCURRENT_PER_CLIENT,
    trustProxy: env.TRUST_PROXY,
    corsOrigins: env.CORS_ORIGINS,
    logLevel: env.LOG_LEVEL,
    modelsDir: env.MODELS_DIR,
    model: env.MODEL,
    executionProvider: env.EXECUTION_PROVIDER,
    precision: env.PRECISION,
    cudaDevices: env.CUDA_DEVICES,
    engines: env.ENGINES,
    intraOpThreads: env.INTRA_OP_THREADS,
    warmup: env.WARMUP,
    engineRunTimeoutMs: env.ENGINE_RUN_TIMEOUT_MS,
    batchSizes: env.BATCH_SIZES,
    batchLengthsSeconds: env.BATCH_LENGTHS_SECONDS,
    queueMaxWindows: env.QUEUE_MAX_WINDOWS,
    queueMaxAudioSeconds: env.QUEUE_MAX_AUDIO_SECONDS,
    requestTimeoutMs: env.REQUEST_TIMEOUT_MS,
    maxUploadBytes: env.MAX_UPLOAD_BYTES,
    maxFiles: env.MAX_FILES,
    maxUploads: env.MAX_UPLOADS,
    uploadTimeoutMs: env.UPLOAD_TIMEOUT_MS,
    uploadMinBytesPerSecond: env.UPLOAD_MIN_BYTES_PER_SECOND,
    spoolDir: env.SPOOL_DIR,
    maxClipSeconds: env.MAX_CLIP_SECONDS,
    decodeConcurrency: env.DECODE_CONCURRENCY,
    decodeTimeoutMs: env.DECODE_TIMEOUT_MS,
    preStopMs: env.PRE_STOP_MS,
    drainTimeoutMs: env.DRAIN_TIMEOUT_MS,
  };
}
