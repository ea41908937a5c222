import { DOMParser } from '@xmldom/xmldom';
import { PNG } from 'pngjs';
import { describe, expect, test } from 'vitest';
import type { ListedEvent } from '../../../src/outputs/events/event-list.js';
import { type PictureContent, toEventPicture } from '../../../src/outputs/picture/event-picture.js';
import { renderPng } from '../../../src/outputs/picture/render-png.js';
import { SpectrogramColumns } from '../../../src/outputs/picture/spectrogram-columns.js';
import { WaveColumns } from '../../../src/outputs/picture/wave-columns.js';

const LEFT = 168;
const PIXELS_PER_SECOND = (1172 - LEFT) / 5;

const eventOf = (
  classIndex: number,
  label: string,
  start: number,
  end: number,
  score = 1,
): ListedEvent => ({
  ...{ label, mid: `/m/${classIndex}`, class_index: classIndex },
  ...{ start_seconds: start, end_seconds: end, score, score_mean: score },
});

/** Five seconds with a tone from 2 to 3 s. */
function contentOf(events: readonly ListedEvent[]): PictureContent {
  const samples = Float32Array.from({ length: 80_000 }, (_, i) =>
    i >= 32_000 && i < 48_000 ? Math.sin(i * 0.4) : 0,
  );
  const wave = new WaveColumns(1024);
  const spectrogram = new SpectrogramColumns({ maxColumns: 1024, bands: 96, sampleRate: 16_000 });
  wave.push(samples);
  spectrogram.push(samples);
  const drawn = { waveform: wave.finish(), spectrogram: spectrogram.finish() };
  return { model: 'tiny', startSeconds: 0, endSeconds: 5, ...drawn, events };
}

function read(svg: string) {
  const faults: string[] = [];
  const parser = new DOMParser({
    onError: (level, message) => faults.push(`${level}: ${message}`),
  });
  const document = parser.parseFromString(svg, 'image/svg+xml');
  expect(faults).toEqual([]);
  const all = (name: string) => Array.from(document.getElementsByTagName(name));
  return { root: document.documentElement, all };
}

const textsOf = (svg: string) =>
  read(svg)
    .all('text')
    .map(({ textContent }) => textContent);

describe('the picture', () => {
  const dog = eventOf(1, 'Dog', 2, 3, 0.9);

  test('is XML that says in words what it shows', () => {
    const { root, all } = read(toEventPicture(contentOf([dog])));
    expect(root?.getAttribute('role')).toBe('img');
    expect(root?.getAttribute('aria-labelledby')).toBe('title desc');
    expect(all('title')[0]?.textContent).toBe('Dog');
    expect(all('desc')[0]?.textContent).toContain('Dog from 2 s to 3 s, score 0.90.');
  });

  test('loads nothing: the spectrogram is a PNG inside of it', () => {
    const svg = toEventPicture(contentOf([dog]));
    const [image] = read(svg).all('image');
    const href = image?.getAttribute('href') ?? '';
    expect(href).toMatch(/^data:image\/png;base64,/);
    const png = PNG.sync.read(Buffer.from(href.split(',')[1] ?? '', 'base64'));
    expect([png.width, png.height]).toEqual([500, 96]);
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(|@import/);
  });

  test('has a lane per label, the surest on top, an event where it was', () => {
    const svg = toEventPicture(
      contentOf([eventOf(0, 'Rain', 0, 5, 0.4), dog, eventOf(1, 'Dog', 4, 4.5, 0.5)]),
    );
    const names = textsOf(svg).filter((text) => text === 'Dog' || text === 'Rain');
    expect(names).toEqual(['Dog', 'Rain']);
    const bars = read(svg)
      .all('rect')
      .filter((rect) => rect.getAttribute('class') === 'bar');
    const places = bars.map((bar) => ['x', 'width'].map((name) => Number(bar.getAttribute(name))));
    const expected = [
      [2, 1],
      [4, 0.5],
      [0, 5],
    ]; // prettier-ignore
    for (const [i, [start = 0, length = 0]] of expected.entries()) {
      expect(places[i]?.[0]).toBeCloseTo(LEFT + start * PIXELS_PER_SECOND, 1);
      expect(places[i]?.[1]).toBeCloseTo(length * PIXELS_PER_SECOND, 1);
    }
  });

  test('names what found no lane, and says when there is nothing', () => {
    const many = Array.from({ length: 15 }, (_, i) => eventOf(i, `Label ${i}`, 0, 1));
    expect(textsOf(toEventPicture(contentOf(many)))).toContain('Also heard: 3 more labels');
    const one = textsOf(toEventPicture(contentOf(many.slice(0, 13))));
    expect(one.some((text) => text?.startsWith('Also heard: Label'))).toBe(true);
    expect(textsOf(toEventPicture(contentOf([])))).toContain('No events at these thresholds');
  });

  test('holds names of any characters, long ones shortened', () => {
    const name = 'A & B <c> "d" \u0007 and so on and on 🐕';
    const svg = toEventPicture(contentOf([eventOf(0, name, 0, 1)]));
    expect(read(svg).all('title')[0]?.textContent).toBe(name.replace('\u0007', ''));
    expect(textsOf(svg).some((text) => text?.startsWith('A & B <c>') && text.endsWith('…'))).toBe(
      true,
    );
  });

  test('is dark where that is preferred, by a rule for everything that is painted', () => {
    const { all } = read(toEventPicture(contentOf([dog])));
    const style = all('style')[0]?.textContent ?? '';
    expect(style).toContain('prefers-color-scheme: dark');
    const painted = ['rect', 'path', 'text'].flatMap((name) => all(name));
    for (const { attributes } of painted) {
      expect(style).toContain(`.${attributes.getNamedItem('class')?.value}{`);
    }
  });
});

test('as PNG it is the same picture, text included', async () => {
  const draw = async (events: readonly ListedEvent[]) => {
    const svg = toEventPicture(contentOf(events));
    const height = Number(read(svg).root?.getAttribute('height'));
    const png = PNG.sync.read(await renderPng(svg));
    expect([png.width, png.height]).toEqual([1200, height]);
    return (x: number, y: number) => [
      ...png.data.subarray(4 * (y * 1200 + x), 4 * (y * 1200 + x) + 3),
    ];
  };
  const pixel = await draw([eventOf(1, 'Dog', 2, 3)]);
  const y = 359; // the middle of the first lane
  expect(pixel(LEFT + Math.round(2.6 * PIXELS_PER_SECOND), y)).toEqual([0x0b, 0x7a, 0x70]);
  expect(pixel(LEFT + Math.round(1.3 * PIXELS_PER_SECOND), y)).toEqual([0xf2, 0xf4, 0xf7]);
  const blank = await draw([]);
  const dark = (at: typeof pixel) => {
    const places = Array.from({ length: 40 * 20 }, (_, i) =>
      at(120 + (i % 40), 350 + Math.floor(i / 40)),
    );
    return places.filter(([red = 255]) => red < 100).length;
  };
  // The name stands left of its lane; without an event nothing does.
  expect(dark(pixel)).toBeGreaterThan(50);
  expect(dark(blank)).toBe(0);
});
