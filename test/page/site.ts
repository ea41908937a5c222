/** The real service with the real model, a browser, and what must never happen while it is on the page. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContextOptions, chromium, type Page, type Request } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { createLog } from '../../src/log.js';
import { startService } from '../../src/service.js';
import { writeWav } from '../audio/wav-writer.js';

/** Debian's. */
const CHROMIUM = '/usr/bin/chromium';
const RESULTS = fileURLToPath(new URL('../../test-results', import.meta.url));
const CLIPS = fileURLToPath(new URL('../fixtures/clips', import.meta.url));

/** Whether there is a browser to test with; CI must have one. */
export const hasBrowser: boolean = existsSync(CHROMIUM) || process.env.CI !== undefined;
const SAMPLE_RATE = 16_000;
/** A slow machine is no failure: what never comes ends with the test's own time. */
const PATIENCE_MS = 55_000;
export const MAX_UPLOAD_BYTES = 2 * 2 ** 20;
/** When the dog of dog.ogg barks, in seconds. */
export const BARK = { start: 2.25, end: 2.56 };

export const clipPath = (name: string): string => join(CLIPS, name);

interface Visit {
  readonly page: Page;
  /** All that the page has asked. */
  readonly requests: readonly Request[];
  /** What was complained about: errors of scripts, the console, and the content policy. */
  readonly complaints: string[];
}

export interface Site {
  readonly url: string;
  /** A folder for files of the test. */
  readonly folder: string;
  readonly spoolDir: string;
  /**
   * Opens the page for the length of the test, which fails if another host was asked or anything
   * was complained about.
   */
  open(options?: BrowserContextOptions): Promise<Visit>;
  close(): Promise<void>;
}

/** Starts the service, and a browser whose microphone hears a dog that barks again and again. */
export async function openSite(env: Record<string, string> = {}): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'earshot-page-'));
  const spoolDir = join(folder, 'spool');
  const microphone = join(folder, 'microphone.wav');
  writeFileSync(microphone, barkWav());
  const [service, browser] = await Promise.all([
    start({ ...env, SPOOL_DIR: spoolDir }),
    openBrowser(microphone),
  ]);
  return {
    url: service.url,
    folder,
    spoolDir,
    async open(options = {}) {
      const context = await browser.newContext({
        viewport: { width: 1200, height: 900 },
        ...options,
      });
      context.setDefaultTimeout(PATIENCE_MS);
      const visited = await visit(await context.newPage(), service.url);
      onTestFinished(async () => {
        await context.close();
        assertDecent(visited, service.url);
      });
      return visited;
    },
    async close() {
      await browser.close();
      await service.close({ preStopMs: 0 });
      rmSync(folder, { recursive: true });
    },
  };
}

/** dog.ogg in a format that browsers do not read. */
export function dogAsWave64(): Buffer {
  const channels = [dogSamples()];
  return writeWav({ kind: 's16', sampleRate: SAMPLE_RATE, channels, form: 'W64' });
}

/** dog.ogg so many times, five seconds each. */
export function dogAgain(times: number): Buffer {
  const dog = dogSamples();
  const { length } = dog;
  const samples = Float32Array.from({ length: times * length }, (_, i) => dog[i % length]!);
  return writeWav({ kind: 's16', sampleRate: SAMPLE_RATE, channels: [samples] });
}

/** A bark with a short silence after it. */
function barkWav(): Buffer {
  const [from, to] = [BARK.start - 0.05, BARK.end + 0.4].map((s) => Math.round(s * SAMPLE_RATE));
  const channels = [dogSamples().subarray(from, to)];
  return writeWav({ kind: 's16', sampleRate: SAMPLE_RATE, channels });
}

/** Of dog.ogg, five seconds at 16 kHz. */
function dogSamples(): Float32Array {
  const pcm = readFileSync(clipPath('dog_16k_s16.wav')).subarray(-2 * 5 * SAMPLE_RATE);
  return Float32Array.from({ length: 5 * SAMPLE_RATE }, (_, i) => pcm.readInt16LE(2 * i) / 32_768);
}

/** Keeps a picture of the whole page in test-results/, for people. */
export async function photograph(page: Page, name: string): Promise<void> {
  mkdirSync(RESULTS, { recursive: true });
  await page.screenshot({ path: `${RESULTS}/${name}.png`, fullPage: true });
}

function start(env: Record<string, string>) {
  const all = {
    PORT: '0',
    HOST: '127.0.0.1',
    ENGINES: '1',
    EXECUTION_PROVIDER: 'cpu',
    MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES),
    ...env,
  };
  return startService(loadConfig(all), createLog({ level: 'silent' }));
}

function openBrowser(microphone: string) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      // Tests may run as root, whom Chromium's sandbox refuses.
      '--no-sandbox',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${microphone}`,
    ],
  });
}

/** Opens the page, and waits until it knows its service. */
async function visit(page: Page, url: string): Promise<Visit> {
  const requests: Request[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requests.push(request));
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(url);
  await page
    .getByText(/^(Up to 2 MiB and 10 min|This service answers to)/)
    .first()
    .waitFor();
  return { page, requests, complaints };
}

function assertDecent({ requests, complaints }: Visit, url: string): void {
  const urls = requests.map((request) => request.url());
  const isOwn = (each: string) => each.startsWith(`${url}/`) || each.startsWith('blob:');
  expect(urls.filter((each) => !isOwn(each))).toEqual([]);
  // A refused upload is an error to the browser's console, whatever the page makes of it.
  expect(complaints.filter((text) => !/status of 4\d\d/.test(text))).toEqual([]);
}
