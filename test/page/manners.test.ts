/** Refusals, waiting, keys, commands, themes: how the page behaves when all is not just well. */
import { execFile } from 'node:child_process';
import { copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { makeApiKey } from '../../src/http/api-keys.js';
import {
  answered,
  choose,
  currentTime,
  drawn,
  paintOf,
  tagNames,
  told,
  watchPlayer,
} from './on-page.js';
import { clipPath, hasBrowser, MAX_UPLOAD_BYTES, openSite, photograph, type Site } from './site.js';

let site: Site;
beforeAll(async () => {
  if (hasBrowser) site = await openSite();
});
afterAll(() => site?.close());

describe.skipIf(!hasBrowser)('in Chromium, a refusal', () => {
  test('of what is no sound says what was expected and what came', async () => {
    const { page } = await site.open();
    const buffer = Buffer.from('not a sound, but a letter '.repeat(100));
    await page
      .getByLabel('Choose a file')
      .setInputFiles({ name: 'letter.mp3', mimeType: 'audio/mpeg', buffer });
    const problem = page.locator('#problem');
    await problem.waitFor();
    const text = await problem.textContent();
    expect(text).toContain('Unsupported audio format');
    expect(text).toMatch(/Expected .*flac.*; got bytes that look like no audio/);
    expect(text).toContain('unsupported_format');
    expect(await page.getByRole('button', { name: 'Try again' }).isVisible()).toBe(false);
    // It stands in nobody's way.
    await choose(page, 'dog.ogg');
    await answered(page);
    expect(await problem.isVisible()).toBe(false);
  });

  test('of a file that is too large comes before a byte of it is sent', async () => {
    const { page, requests } = await site.open();
    const buffer = Buffer.alloc(MAX_UPLOAD_BYTES + 1);
    await page
      .getByLabel('Choose a file')
      .setInputFiles({ name: 'long.wav', mimeType: 'audio/wav', buffer });
    await page
      .getByText('Expected at most 2 MiB, long.wav has 2097153 bytes. Nothing was sent.')
      .waitFor();
    expect(requests.filter((request) => request.method() === 'POST')).toEqual([]);
  });

  test('by nobody: the connection is lost, and later found again', async () => {
    const { page, complaints } = await site.open();
    await page.context().setOffline(true);
    await choose(page, 'dog.ogg');
    await page.getByText('No connection').waitFor();
    await page.context().setOffline(false);
    await page.getByRole('button', { name: 'Try again' }).click();
    await answered(page);
    expect(complaints.every((text) => text.includes('ERR_INTERNET_DISCONNECTED'))).toBe(true);
    complaints.length = 0;
  });
});

test.skipIf(!hasBrowser)(
  'in Chromium, what is being sent shows its progress, and is cancelled without a trace',
  async () => {
    const { page } = await site.open();
    const network = await page.context().newCDPSession(page);
    await network.send('Network.enable');
    const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 20_000 };
    await network.send('Network.emulateNetworkConditions', slow);
    await choose(page, 'dog_44k_f32.wav');
    await expect
      .poll(() => told<number>(page, `document.querySelector('#bar').value`))
      .toBeGreaterThan(0);
    await expect.poll(() => readdirSync(site.spoolDir).length).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Cancelled').waitFor();
    expect(await page.locator('#progress').isVisible()).toBe(false);
    await expect.poll(() => readdirSync(site.spoolDir)).toEqual([]);
  },
);

test.skipIf(!hasBrowser)('in Chromium, keys alone choose, play, move and copy', async () => {
  const { page } = await site.open({ permissions: ['clipboard-read', 'clipboard-write'] });
  const focused = () =>
    told<string>(
      page,
      `((element) => element.getAttribute('aria-label') ?? element.textContent)(document.activeElement)`,
    );
  const tabTo = async (name: RegExp) => {
    for (let i = 0; i < 30; i++) {
      await page.keyboard.press('Tab');
      if (name.test(await focused())) return;
    }
    throw new Error(`Tab never comes to ${name}`);
  };
  await tabTo(/^a morning$/);
  await page.keyboard.press('Enter');
  await answered(page);
  await drawn(page);
  expect(await focused()).toBe('morning.ogg');
  const player = await watchPlayer(page);
  await page.keyboard.press(' ');
  await expect.poll(player).toEqual(['play']);
  await page.keyboard.press(' ');
  await expect.poll(player).toEqual(['play', 'pause']);
  await tabTo(/^Play$/);
  await tabTo(/^Position$/);
  for (const [key, seconds] of [
    ['Home', 0],
    ['ArrowRight', 1],
    ['ArrowRight', 2],
    ['ArrowLeft', 1],
  ] as const) {
    await page.keyboard.press(key);
    expect(await currentTime(page)).toBe(seconds);
  }
  // The lane of a sound that comes several times.
  await tabTo(/^Dog, .*, score/);
  const outline = `getComputedStyle(document.activeElement).outlineStyle`;
  expect(await told<string>(page, outline)).toBe('solid');
  const first = await focused();
  await page.keyboard.press('ArrowRight');
  expect(await focused()).not.toBe(first);
  await page.keyboard.press('Enter');
  await expect.poll(async () => (await player()).at(-1)).toBe('play');
  await tabTo(/^Copy the command for tags$/);
  await page.keyboard.press('Enter');
  await page.getByText('Copied').waitFor();
  expect(await told(page, 'navigator.clipboard.readText()')).toContain('/v1/tags?');
});

describe.skipIf(!hasBrowser)('in Chromium, a command to copy', () => {
  /** Runs what the page shows, in a folder with the file. */
  async function runShown(page: Page) {
    const commands = await page.locator('#commands code').allTextContents();
    const run = (command: string) =>
      promisify(execFile)('sh', ['-c', command.replaceAll('curl ', 'curl -s ')], {
        cwd: site.folder,
      });
    const { tags } = JSON.parse((await run(commands[0]!)).stdout) as { tags: { label: string }[] };
    const { events } = JSON.parse((await run(commands[1]!)).stdout) as { events: unknown[] };
    return { tags: tags.map(({ label }) => label), numEvents: events.length };
  }

  test('asks the same and gets the same, for a file with any name', async () => {
    const { page } = await site.open();
    const path = join(site.folder, "the dog's, again; loud.ogg");
    copyFileSync(clipPath('dog.ogg'), path);
    await page.getByLabel('Choose a file').setInputFiles(path);
    await answered(page);
    const { tags, numEvents } = await runShown(page);
    expect(tags).toEqual(await tagNames(page));
    expect(numEvents).toBe(await page.locator('.event').count());
  });

  test('and for a sound of the page', async () => {
    const { page } = await site.open();
    await page.getByRole('button', { name: 'a baby' }).click();
    await answered(page);
    const { tags } = await runShown(page);
    expect(tags).toEqual(await tagNames(page));
    expect(tags[0]).toMatch(/^Baby cry/);
  });
});

test.skipIf(!hasBrowser)('in Chromium, wide or narrow, light or dark, it fits', async () => {
  const { page } = await site.open();
  await page.getByRole('button', { name: 'a morning' }).click();
  await answered(page);
  await drawn(page);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1200, 360]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await told<number>(page, 'document.documentElement.scrollWidth')).toBe(width);
      await photograph(page, `page-${colorScheme}-${width}`);
    }
    // The sound begins with silence, which is drawn in the colour of the paper.
    const { corner } = await paintOf(page, 'spectrogram');
    expect(corner > 200 || corner < 50).toBe(true);
    expect(corner > 128).toBe(colorScheme === 'light');
  }
});

test.skipIf(!hasBrowser)('in Chromium, a service that wants a key gets it', async () => {
  const { key, line } = makeApiKey({ client: 'visitor' });
  const file = join(site.folder, 'keys.jsonl');
  writeFileSync(file, line);
  const locked = await openSite({ API_KEYS_FILE: file });
  onTestFinished(() => locked.close());
  const { page } = await locked.open();
  await page.getByText('This service answers to those who have a key.').waitFor();
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Use' }).click();
  await page.getByText('Up to 2 MiB').waitFor();
  await choose(page, 'dog.ogg');
  await answered(page);
  const commands = await page.locator('#commands').textContent();
  expect(commands).toContain('-H "Authorization: Bearer $EARSHOT_API_KEY"');
  expect(commands).not.toContain(key);
});
