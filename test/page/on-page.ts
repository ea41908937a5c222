/** What tests do on the page, and what they read there. */
import type { Page } from 'playwright-core';
import { clipPath } from './site.js';

/** Chooses a clip of the fixtures. */
export const choose = (page: Page, name: string) =>
  page.getByLabel('Choose a file').setInputFiles(clipPath(name));

/** Comes back when everything that was asked about a sound has been answered. */
export const answered = (page: Page) =>
  page
    .getByRole('status')
    .filter({ hasText: /^(Most likely|At moments|Nothing stands out)/ })
    .waitFor();

/** Best first. */
export const tagNames = (page: Page) => page.locator('#tags .tag-name').allTextContents();

/** Value of an expression in the page. Tests are checked without the browser's types. */
export const told = <T>(page: Page, expression: string): Promise<T> => page.evaluate<T>(expression);

/** Where the player is, in seconds. */
export const currentTime = (page: Page) =>
  told<number>(page, `document.querySelector('audio').currentTime`);

/**
 * What the player has done since: `play`, `pause`, and `seek 3.0`.
 *
 * What it does now would depend on how fast the machine is.
 */
export async function watchPlayer(page: Page): Promise<() => Promise<readonly string[]>> {
  await told(
    page,
    `(() => {
      const audio = document.querySelector('audio');
      window.playerLog = [];
      for (const name of ['play', 'pause', 'seeking']) {
        audio.addEventListener(name, () => {
          const at = audio.currentTime.toFixed(1);
          window.playerLog.push(name === 'seeking' ? 'seek ' + at : name);
        });
      }
    })()`,
  );
  return () => told(page, 'window.playerLog');
}

/** Times of the events in the lane of a label, in seconds. */
export const eventsOf = (page: Page, label: string) =>
  told<{ start: number; end: number }[]>(
    page,
    `[...document.querySelectorAll('.event')]
      .filter((event) => event.getAttribute('aria-label').startsWith('${label},'))
      .map(({ dataset }) => ({ start: Number(dataset.start), end: Number(dataset.end) }))`,
  );

/** How many colours a canvas has, and how bright its upper left corner is, from 0 to 255. */
export const paintOf = (page: Page, id: string) =>
  told<{ colours: number; corner: number }>(
    page,
    `((canvas) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set(new Uint32Array(data.buffer)).size;
      return { colours, corner: (data[0] + data[1] + data[2]) / 3 };
    })(document.querySelector('#${id}'))`,
  );

/** Comes back when the browser has drawn the sound. */
export const drawn = (page: Page) =>
  page.getByRole('img', { name: /^Spectrogram of .* kHz$/ }).waitFor();
