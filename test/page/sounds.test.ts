/** Sounds of every kind on the page, from the file to the answer. */
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  answered,
  choose,
  drawn,
  eventsOf,
  paintOf,
  tagNames,
  told,
  watchPlayer,
} from './on-page.js';
import { BARK, dogAgain, dogAsWave64, hasBrowser, openSite, type Site } from './site.js';

let site: Site;
beforeAll(async () => {
  if (hasBrowser) site = await openSite();
});
afterAll(() => site?.close());

/** A file as another program hands it over: by drag or by clipboard. */
const handOver = (page: Page, event: string) =>
  told(
    page,
    `(async () => {
      const bytes = await (await fetch('page/sounds/dog.ogg')).arrayBuffer();
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'handed.ogg'));
      document.body.dispatchEvent(${event});
    })()`,
  );

describe.skipIf(!hasBrowser)('in Chromium, a sound', () => {
  test('that is chosen is answered: tags, events where they are, pictures, facts', async () => {
    const { page, requests } = await site.open();
    await choose(page, 'dog.ogg');
    await answered(page);
    expect((await tagNames(page)).slice(0, 2).toSorted()).toEqual(['Bark', 'Dog']);
    expect(await page.locator('#facts').textContent()).toMatch(
      /^5\.0 s · ogg vorbis · 44\.1 kHz · mono/,
    );
    const [bark] = await eventsOf(page, 'Bark');
    expect(bark?.start).toBeLessThan(BARK.end);
    expect(bark?.end).toBeGreaterThan(BARK.start);
    await page.getByRole('img', { name: 'Waveform of 5.0 s of sound' }).waitFor();
    await page
      .getByRole('img', { name: 'Spectrogram of 5.0 s of sound, from 0 to 8 kHz' })
      .waitFor();
    for (const id of ['waveform', 'spectrogram'])
      expect((await paintOf(page, id)).colours).toBeGreaterThan(3);
    const posts = requests.filter((request) => request.method() === 'POST');
    expect(posts.map((request) => new URL(request.url()).pathname).toSorted()).toEqual([
      '/v1/events',
      '/v1/tags',
    ]);
  });

  test.each([
    ['dropped', `new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data })`],
    ['pasted', `new ClipboardEvent('paste', { bubbles: true, clipboardData: data })`],
  ])('that is %s is answered too', async (_how, event) => {
    const { page } = await site.open();
    await handOver(page, event);
    await page.getByRole('heading', { name: 'handed.ogg' }).waitFor();
    await answered(page);
    expect((await tagNames(page)).slice(0, 2).toSorted()).toEqual(['Bark', 'Dog']);
  });

  test('that is long is told while it is still heard', async () => {
    const { page } = await site.open();
    // How many events there are whenever some have come, while the answer is not complete.
    await told(
      page,
      `(() => {
        window.counts = [];
        const lanes = document.querySelector('#lanes');
        const count = () => {
          if (document.querySelector('#progress').hidden) return;
          window.counts.push(lanes.querySelectorAll('.event').length);
        };
        new MutationObserver(count).observe(lanes, { childList: true, subtree: true });
      })()`,
    );
    const buffer = dogAgain(12);
    await page
      .getByLabel('Choose a file')
      .setInputFiles({ name: 'kennel.wav', mimeType: 'audio/wav', buffer });
    await answered(page);
    const counts = (await told<number[]>(page, 'window.counts')).filter((count) => count > 0);
    expect(new Set(counts).size).toBeGreaterThan(1);
    const barks = await eventsOf(page, 'Bark');
    expect(barks.length).toBeGreaterThanOrEqual(6);
    expect(barks.at(-1)?.end).toBeGreaterThan(55);
  });

  test('plays from where it is clicked, and from an event', async () => {
    const { page } = await site.open();
    await choose(page, 'dog.ogg');
    await answered(page);
    await drawn(page);
    const player = await watchPlayer(page);
    const waveform = page.locator('#waveform');
    const { width = 0, height = 0 } = (await waveform.boundingBox()) ?? {};
    await waveform.click({ position: { x: 0.6 * width, y: height / 2 } });
    await expect.poll(player).toEqual(['seek 3.0', 'play']);
    expect(await page.locator('#playhead').isVisible()).toBe(true);
    const [bark] = await eventsOf(page, 'Bark');
    await page.getByRole('button', { name: 'Bark,' }).first().click();
    await expect.poll(player).toContain(`seek ${bark?.start.toFixed(1)}`);
  });

  test('that the browser cannot read is heard and drawn by the service', async () => {
    const { page } = await site.open();
    const buffer = dogAsWave64();
    await page.getByLabel('Choose a file').setInputFiles({ name: 'dog.w64', mimeType: '', buffer });
    await answered(page);
    expect((await tagNames(page)).slice(0, 2).toSorted()).toEqual(['Bark', 'Dog']);
    const picture = page.getByRole('img', { name: 'drawn by the service' });
    await picture.waitFor();
    expect(
      await told<number>(page, `document.querySelector('#picture').naturalWidth`),
    ).toBeGreaterThan(100);
    expect(await page.locator('#player').isVisible()).toBe(false);
    expect(await eventsOf(page, 'Bark')).not.toEqual([]);
  });

  test('from the microphone is heard, and can be saved', async () => {
    const { page } = await site.open();
    await page.getByRole('button', { name: 'Record' }).click();
    await page.getByRole('button', { name: /Stop 0:02/ }).click({ timeout: 20_000 });
    await page.getByRole('heading', { name: 'recording.wav' }).waitFor();
    await answered(page);
    expect((await tagNames(page)).slice(0, 3)).toContain('Bark');
    expect(await page.locator('#facts').textContent()).toMatch(/^[2-9]\.\d s · wav pcm_s16le/);
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Save recording.wav' }).click();
    const saved = readFileSync((await (await download).path()) ?? '');
    expect(saved.subarray(0, 4).toString()).toBe('RIFF');
  });

  test('can be looked for by name', async () => {
    const { page } = await site.open();
    await page.getByText('Options').click();
    await page.getByLabel('Listen only for').fill('rain');
    await page.getByRole('button', { name: 'Add' }).click();
    await choose(page, 'dog.ogg');
    await answered(page);
    expect(await tagNames(page)).toEqual(['Rain']);
    await page.getByRole('button', { name: 'Remove Rain' }).click();
    await expect.poll(() => tagNames(page)).toHaveLength(5);
  });
});
