import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../src/config.js';
import { loadOpenApi, type OpenApiDocument } from '../src/http/openapi-document.js';
import { createMetrics } from '../src/metrics.js';
import { openSideServers, type SideServers } from '../src/side-servers.js';

const isTrue = () => true;
const metrics = createMetrics({
  versions: { service: '0.0.0', onnxruntime: '0.0.0' },
  routes: [],
  isReady: isTrue,
  isDraining: isTrue,
});
let openApi: OpenApiDocument;
let side: SideServers | undefined;

beforeAll(async () => {
  openApi = await loadOpenApi();
});
afterEach(() => side?.close());

async function open(env: Record<string, string>): Promise<SideServers> {
  side = await openSideServers(loadConfig({ HOST: '127.0.0.1', ...env }), { metrics, openApi });
  return side;
}

const statusOf = async (url: string | undefined, path: string) =>
  (await fetch(`${url}${path}`)).status;

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('without ports of their own nothing listens', async () => {
  expect(await open({})).toMatchObject({ metricsUrl: undefined, docsUrl: undefined });
});

test('each on its own port, and nothing else there', async () => {
  const { metricsUrl, docsUrl } = await open({ METRICS_PORT: '0', DOCS_PORT: '0' });
  expect(metricsUrl).not.toBe(docsUrl);
  for (const [path, onMetrics, onDocs] of [
    ['/metrics', 200, 404],
    ['/docs/', 404, 200],
    ['/openapi.json', 404, 200],
    ['/v1/info', 404, 404],
  ] as const) {
    expect([path, await statusOf(metricsUrl, path)]).toEqual([path, onMetrics]);
    expect([path, await statusOf(docsUrl, path)]).toEqual([path, onDocs]);
  }
});

test('both on one port', async () => {
  const port = String(await freePort());
  const { metricsUrl, docsUrl } = await open({ METRICS_PORT: port, DOCS_PORT: port });
  expect(metricsUrl).toBe(docsUrl);
  for (const path of ['/metrics', '/docs/']) expect(await statusOf(docsUrl, path)).toBe(200);
});

test('the page sends no requests to a port that answers none', async () => {
  const { docsUrl } = await open({ DOCS_PORT: '0' });
  const script = await (await fetch(`${docsUrl}/docs/swagger-ui-init.js`)).text();
  expect(script).toContain('"supportedSubmitMethods": []');
});

test('replies have the headers of the others', async () => {
  const { metricsUrl } = await open({ METRICS_PORT: '0' });
  const { headers } = await fetch(`${metricsUrl}/metrics`);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(headers.get('x-powered-by')).toBeNull();
});

test('off, a port of its own changes nothing', async () => {
  const env = { METRICS: 'off', METRICS_PORT: '0', DOCS: 'off', DOCS_PORT: '0' };
  expect(await open(env)).toMatchObject({ metricsUrl: undefined, docsUrl: undefined });
});

test('a port that is taken is named', async () => {
  const { metricsUrl } = await open({ METRICS_PORT: '0' });
  const { port } = new URL(String(metricsUrl));
  const config = loadConfig({ HOST: '127.0.0.1', DOCS_PORT: port });
  const opening = openSideServers(config, { metrics, openApi });
  await expect(opening).rejects.toThrow(`DOCS_PORT: ${port} is in use`);
});
