import { createRequire } from 'node:module';
import { renderAsync } from '@resvg/resvg-js';

const FONT = createRequire(import.meta.url).resolve(
  '@expo-google-fonts/atkinson-hyperlegible/400Regular/AtkinsonHyperlegible_400Regular.ttf',
);

/**
 * A picture as PNG, drawn away from the event loop, in its light colours.
 *
 * The font comes with the service, so that the picture is the same on every machine.
 */
export async function renderPng(svg: string): Promise<Buffer> {
  const font = { fontFiles: [FONT], loadSystemFonts: false, defaultFontFamily: FONT_FAMILY };
  const image = await renderAsync(svg, { font, logLevel: 'off' });
  return image.asPng();
}

const FONT_FAMILY = 'Atkinson Hyperlegible';
