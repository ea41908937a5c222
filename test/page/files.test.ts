/** What can be told of the page's files without a browser. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const PAGE = fileURLToPath(new URL('../../page', import.meta.url));
const read = (name: string) => readFileSync(join(PAGE, name), 'utf8');
const sources = readdirSync(PAGE).filter((name) => /\.(ts|html|css)$/.test(name));

test('no file names another host', () => {
  expect(sources.length).toBeGreaterThan(30);
  for (const name of sources) expect.soft(read(name), name).not.toMatch(/(https?:)?\/\/[\w-]+\./);
});

test('nothing is inline that the content policy would refuse', () => {
  const html = read('index.html');
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:/);
  for (const [script] of html.matchAll(/<script[^>]*>/g)) expect(script).toContain('src="page/');
});

test('a module loads only modules of the page; of the service it knows types', () => {
  for (const name of sources.filter((each) => each.endsWith('.ts'))) {
    for (const [, type, path] of read(name).matchAll(/^import (type )?[^;]*?'(.+?)';$/gm)) {
      const isOwn = sources.includes(path?.replace(/^\.\/(.+)\.js$/, '$1.ts') ?? '');
      const isType = type !== undefined && path === '../src/http/openapi-types.js';
      expect.soft(isOwn || isType, `${name}: ${path}`).toBe(true);
    }
  }
});

test('every sound has its authors, under CC0', () => {
  const rows = read('sounds/ATTRIBUTION.csv').trim().split('\n').slice(1);
  const named = new Set(rows.map((row) => row.split(',')[0]));
  const sounds = readdirSync(join(PAGE, 'sounds')).filter((name) => name.endsWith('.ogg'));
  expect([...named].toSorted()).toEqual(sounds.toSorted());
  for (const row of rows) expect(row.split(',')[1]).toBe('CC0');
  const offered = [...read('demo-sounds.ts').matchAll(/file: '(.+?)'/g)].map(([, file]) => file);
  expect(offered.toSorted()).toEqual(sounds.toSorted());
});

describe('contrast', () => {
  const css = read('page.css');
  const [light = '', dark = ''] = [...css.matchAll(/:root \{[^}]*?--paper[^}]*\}/g)].map(
    ([block]) => block,
  );
  /** Text or shape, what it stands on, and the ratio that WCAG 2.2 asks for at level AA. */
  const pairs: [string, string, number][] = [
    ['ink', 'paper', 4.5],
    ['ink', 'card', 4.5],
    ['quiet', 'paper', 4.5],
    ['quiet', 'card', 4.5],
    ['accent', 'paper', 4.5],
    ['accent', 'card', 4.5],
    ['on-accent', 'accent', 4.5],
    ['alarm', 'paper', 4.5],
    ['alarm', 'alarm-paper', 4.5],
    ['quiet', 'alarm-paper', 4.5],
    ['paper', 'ink', 4.5],
    ['edge', 'paper', 3],
    ['edge', 'card', 3],
    ['event', 'card', 3],
    ['wave', 'card', 3],
    ['play', 'card', 3],
  ];

  function luminance(colour: string): number {
    const [r = 0, g = 0, b = 0] = [1, 3, 5].map((i) => {
      const value = Number.parseInt(colour.slice(i, i + 2), 16) / 255;
      return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  test.each([
    ['light', light],
    ['dark', dark],
  ])('in the %s theme is enough to read', (_theme, block) => {
    const colourOf = (name: string) => {
      const [, colour = ''] = new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(block) ?? [];
      expect(colour, name).toMatch(/^#/);
      return colour;
    };
    for (const [over, under, least] of pairs) {
      const [a = 0, b = 0] = [over, under].map((name) => luminance(colourOf(name)));
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      expect.soft(ratio, `${over} on ${under}`).toBeGreaterThanOrEqual(least);
    }
  });
});
