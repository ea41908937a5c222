/** The real service around the tiny model, on a free port, every reply held to openapi.yaml. */
import { once } from 'node:events';
import {
  createWriteStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import supertest from 'supertest';
import { type AppDeps, createApp } from '../../src/app.js';
import type { Decoder } from '../../src/audio/decode.js';
import { openDecoder } from '../../src/audio/open-decoder.js';
import { type Config, loadConfig } from '../../src/config.js';
import { Lifecycle } from '../../src/http/lifecycle.js';
import { loadOpenApi, type OpenApiDocument } from '../../src/http/openapi-document.js';
import { measuredRoutes } from '../../src/http/route-names.js';
import { createHttpServer } from '../../src/http/server.js';
import { type OpenFile, Spool } from '../../src/http/spool.js';
import { systemClock } from '../../src/inference/clock.js';
import { createModelRegistry, type ModelRegistry } from '../../src/inference/model-registry.js';
import { silentObserver } from '../../src/inference/observer.js';
import { createLog } from '../../src/log.js';
import { createMetrics, type Metrics } from '../../src/metrics.js';
import { loadOntology } from '../../src/ontology/load-ontology.js';
import type { Ontology } from '../../src/ontology/ontology.js';
import { tone } from '../audio/signals.js';
import { writeWav } from '../audio/wav-writer.js';
import { Contract, type Exchange } from './contract.js';

export const MAX_CLIP_SECONDS = 70;
const MODELS_DIR = fileURLToPath(new URL('../fixtures/models', import.meta.url));

/** What takes seconds to start and is shared by the services of a test file. */
export interface Workshop {
  readonly registry: ModelRegistry;
  readonly decoder: Decoder;
  readonly openApi: OpenApiDocument;
  readonly ontology: Ontology;
  readonly contract: Contract;
  close(): Promise<void>;
}

/** Starts one engine with the tiny model and one decode thread. */
export async function openWorkshop({
  modelsDir = MODELS_DIR,
  model = '',
  ffmpegPath = 'off',
  maxClipSeconds = MAX_CLIP_SECONDS,
} = {}): Promise<Workshop> {
  const config = testConfig({
    MODELS_DIR: modelsDir,
    MODEL: model,
    FFMPEG_PATH: ffmpegPath,
    MAX_CLIP_SECONDS: String(maxClipSeconds),
  });
  const log = createLog({ level: 'silent' });
  const registry = await createModelRegistry({
    ...config,
    provider: config.executionProvider,
    log,
    observer: silentObserver,
  });
  const timeoutMs = config.decodeTimeoutMs;
  const decoder = await openDecoder({ ...config, threads: 1, timeoutMs });
  const openApi = await loadOpenApi();
  const ontology = await loadOntology();
  const contract = new Contract(openApi);
  const close = async () => {
    await Promise.all([registry.close(), decoder.close()]);
  };
  return { registry, decoder, openApi, ontology, contract, close };
}

function testConfig(env: Record<string, string> = {}): Config {
  return loadConfig({
    ENGINES: '1',
    EXECUTION_PROVIDER: 'cpu',
    MODELS_DIR,
    MAX_CLIP_SECONDS: String(MAX_CLIP_SECONDS),
    ...env,
  });
}

type Method = 'get' | 'post' | 'put' | 'delete' | 'options' | 'head';

export interface TestService {
  readonly url: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
  /** The log, line by line. */
  readonly logLines: Record<string, unknown>[];
  /** A request whose reply must be as openapi.yaml says. */
  call(method: Method, path: string): supertest.Test;
  /** The same for what supertest cannot send: `send` gets the open request. */
  callRaw(
    options: { method: string; path: string; headers?: OutgoingHttpHeaders },
    send: (request: ReturnType<typeof httpRequest>) => void,
  ): Promise<Exchange>;
  /** Names of the files in the spool. */
  spooled(): string[];
  close(): Promise<void>;
}

export interface TestServiceOptions {
  /** Variables of the environment. */
  readonly env?: Record<string, string>;
  readonly openFile?: OpenFile;
  /** In place of the real ones, where a fault is to be provoked. */
  readonly registry?: ModelRegistry;
  readonly decoder?: Pick<Decoder, 'decode'>;
  readonly apiKeys?: AppDeps['apiKeys'];
  readonly clock?: AppDeps['clock'];
}

/** Listens with the real server on a free port. */
export async function startService(
  workshop: Workshop,
  options: TestServiceOptions = {},
): Promise<TestService> {
  const { openApi, ontology } = workshop;
  const config = testConfig(options.env);
  const spoolDir = mkdtempSync(join(tmpdir(), 'earshot-spool-'));
  const logLines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => logLines.push(JSON.parse(line)) };
  const log = createLog({ level: 'info', destination });
  const lifecycle = new Lifecycle();
  const { registry, apiKeys, clock = systemClock } = { ...workshop, ...options };
  const { formats, ffmpegVersion } = workshop.decoder;
  const { decoder: chosen } = { ...workshop, ...options };
  const decode: Decoder['decode'] = (...clip) => chosen.decode(...clip);
  const decoder = { decode, formats, ffmpegVersion };
  const metrics = createMetrics({
    versions: { service: '0.0.0', onnxruntime: '0.0.0' },
    routes: measuredRoutes(openApi),
    isReady: () => registry.ready(),
    isDraining: () => lifecycle.isDraining,
  });
  metrics.modelLoaded({
    model: 'tiny',
    provider: 'cpu',
    engines: 1,
    queueLimitWindows: 8,
    loadMs: 1,
    warmupMs: 1,
  });
  const spool = new Spool(spoolDir, options.openFile);
  const app = createApp({
    config,
    apiKeys,
    registry,
    decoder,
    spool,
    lifecycle,
    metrics,
    openApi,
    ontology,
    log,
    clock,
  });
  const { server, close } = createHttpServer(app, { ...config, log });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    metrics,
    lifecycle,
    logLines,
    call: (method, path) => supertest(url)[method](path).expect(holdTo(workshop.contract)),
    async callRaw({ method, path, headers = {} }, send) {
      // A connection of its own: one that lay idle may be closed the moment it is used again.
      const agent = false;
      const request = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent });
      send(request);
      const [reply] = (await once(request, 'response')) as [IncomingMessage];
      const body = await text(reply);
      const status = reply.statusCode ?? 0;
      const exchange = { method, path, status, headers: reply.headers, body };
      workshop.contract.assertReply(exchange);
      request.destroy();
      return exchange;
    },
    spooled: () => readdirSync(spoolDir),
    async close() {
      await close({ drainTimeoutMs: 0 });
      rmSync(spoolDir, { recursive: true, force: true });
    },
  };
}

function holdTo(contract: Contract): (reply: supertest.Response) => void {
  return (reply) => {
    const { method, path } = reply.request as unknown as { method: string; path?: string };
    const url = path ?? new URL((reply.request as unknown as { url: string }).url).pathname;
    contract.assertReply({
      method,
      path: url,
      status: reply.status,
      headers: reply.headers,
      body: reply.text ?? '',
    });
  };
}

/** A disk without room: the kernel's own where it has one, else what the kernel would say. */
export const openFullDisk: OpenFile = () =>
  existsSync('/dev/full')
    ? createWriteStream('/dev/full')
    : new Writable({
        write: (_piece, _encoding, done) =>
          done(Object.assign(new Error('no space left'), { code: 'ENOSPC' })),
      });

/** Bytes of a real clip. */
export function clip(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/clips/${name}`, import.meta.url));
}

/** A tone of any length as a WAV file of 8 bits, so that long ones stay small. */
export function toneClip(seconds: number, { hz = 440, sampleRate = 8000 } = {}): Buffer {
  const channels = [tone({ hz, amplitude: 0.5, sampleRate, seconds })];
  return writeWav({ kind: 'u8', sampleRate, channels });
}
