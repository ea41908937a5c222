import { fileURLToPath } from 'node:url';
import { renderAsync } from '@resvg/resvg-js';

const FONT_FAMILY = 'Atkinson Hyperlegible';
const FONT_FILE = fileURLToPath(
  import.meta.resolve(
    '@expo-google-fonts/atkinson-hyperlegible/400Regular/AtkinsonHyperlegible_400Regular.ttf',
  ),
);

/**
 * A picture as PNG, drawn away from the event loop, in its light colours.
 *
 * The font comes with the service, so that the picture is the same on every machine.
 */
export async function renderPng(svg: string): Promise<Buffer> {
  const font = { fontFiles: [FONT_FILE], loadSystemFonts: false, defaultFontFamily: FONT_FAMILY };
  const image = await renderAsync(svg, { font, logLevel: 'off' });
  return image.asPng();
}
